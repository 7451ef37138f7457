/** `/audit`: check the whole record, and replay a stream. Both write nothing. */
import Type from 'typebox';
import type { KeptCheckpoint } from '../../../audit/checks/anchor.ts';
import { replay, type ReplayedFact } from '../../../audit/replay.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { checkpointText, parseCheckpoint } from '../../../domain/ledger/checkpoint.ts';
import { parseStream } from '../../../domain/events/streams.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { asOfIndex, viewOf } from '../../reading.ts';
import { answerRows } from '../../lists.ts';
import { closed, Line, RowsQuery } from '../../../wire/common.ts';
import { Replay } from '../../../wire/event.ts';
import { AuditResult, CheckpointView, VerifyRequest } from '../../../wire/key.ts';
import { eventView } from '../views/event.ts';
import { beganLines, sendLines } from '../views/auditLines.ts';

const tags = ['audit'];

/** @throws LifecycleError `invalid_input` with the pointer of the text that is no checkpoint */
function keptOf({ name, text }: { name: string; text: string }, i: number): KeptCheckpoint {
  const read = parseCheckpoint(text);
  if (read.ok) return { ...read.checkpoint, from: name };
  const detail = `${name} is no checkpoint: ${read.why}`;
  throw new LifecycleError('invalid_input', detail, { errors: [{ pointer: `/checkpoints/${i}/text`, detail }] });
}

export function auditRoutes(app: App, deps: ApiDeps): void {
  app.post('/audit/verify', {
    config: { scope: 'instance:manage', repeatable: true },
    schema: {
      tags,
      description:
        'Checks the log of every organisation, in a process of its own, one at a time. A stream of NDJSON: progress lines, at least one each few seconds, then `{result}`, or `{error}` where it could not run to its end. Whoever leaves cancels it.',
      body: VerifyRequest,
      response: {
        200: { description: 'Progress, then the result', content: { 'application/x-ndjson': { schema: AuditResult } } },
      },
    },
    handler: async (request, reply) => {
      const { fast = false, checkpoints = [] } = request.body;
      const kept = checkpoints.map(keptOf);
      const lines = await beganLines(reply, request.url, ({ signal, onProgress }) =>
        deps.verify({ fast, checkpoints: kept, signal, onProgress }),
      );
      return sendLines(reply, lines);
    },
  });

  app.get('/audit/checkpoint', {
    config: { scope: 'instance:manage' },
    schema: {
      tags,
      description: 'The newest checkpoint of the log, to be kept elsewhere and given to a later verify.',
      response: { 200: CheckpointView },
    },
    handler: async () => {
      const checkpoint = await deps.checkpoint();
      return { ...checkpoint, text: checkpointText(checkpoint) };
    },
  });

  app.get('/audit/replay', {
    config: { scope: 'events:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          ...RowsQuery,
          stream: Line(200),
          /** Inclusive: `version:<n>`, a position, `event:<id>` or an RFC 3339 time. */
          to: Type.Optional(Line(60)),
        },
        closed,
      ),
      response: { 200: Replay },
    },
    handler: async (request, reply) => {
      const { stream, to } = request.query;
      const view = await viewOf(deps, request, reply);
      if (!parseStream(stream) || (await view.stream(stream)).first === undefined) {
        throw new LifecycleError('stream_not_found', `There is no stream ${stream}.`);
      }
      const place = to === undefined || to.startsWith('version:') ? to : String(await asOfIndex(deps, view.orgId, to));
      const { facts } = await replay(deps.log, stream, place);
      const list = {
        name: 'replay',
        filter: { orgId: view.orgId, stream, to: to ?? null },
        keyOf: ({ event }: ReplayedFact) => [event.version],
      };
      const read = (limit: number, [after = 0]: readonly number[] = []) =>
        Promise.resolve(facts.slice(after, after + limit));
      return answerRows(deps, request, reply, list, request.query, read, replayedView);
    },
  });
}

const replayedView = (fact: ReplayedFact) => ({
  event: eventView(fact.event),
  state_before: fact.stateBefore,
  state_after: fact.stateAfter,
  guards: [...fact.guards],
  is_divergent: fact.isDivergent,
});
