/** `/audit`: check the whole record, and replay a stream. Both write nothing. */
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import Type from 'typebox';
import { replay } from '../../../audit/replay.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { parseStream } from '../../../domain/events/streams.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { asOfIndex, viewOf } from '../../reading.ts';
import { closed } from '../../schemas/common.ts';
import { Replay } from '../../schemas/event.ts';
import { AuditResult } from '../../schemas/key.ts';
import { eventView } from '../../views/event.ts';
import { progressLines } from '../../views/auditLines.ts';

const tags = ['audit'];

export function auditRoutes(app: App, deps: ApiDeps): void {
  app.post('/audit/verify', {
    config: { scope: 'instance:manage', repeatable: true },
    schema: {
      tags,
      description: 'Checks the log of every organisation. A stream of NDJSON: progress lines, then `{result}`.',
      body: Type.Object({ fast: Type.Optional(Type.Boolean()) }, closed),
      response: {
        200: { description: 'Progress, then the result', content: { 'application/x-ndjson': { schema: AuditResult } } },
      },
    },
    handler: async (request, reply) => {
      const stop = new AbortController();
      reply.raw.once('close', () => stop.abort());
      const { fast = false } = request.body;
      const lines = progressLines(request.url, (onProgress) => deps.verify({ fast, signal: stop.signal, onProgress }));
      const answer: FastifyReply = reply; // the typed one wants the last line's object, and this is a stream of lines
      return answer.type('application/x-ndjson').header('cache-control', 'no-store').send(Readable.from(lines));
    },
  });

  app.get('/audit/replay', {
    config: { scope: 'events:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          stream: Type.String({ maxLength: 200 }),
          /** Inclusive: `version:<n>`, a position, `event:<id>` or an RFC 3339 time. */
          to: Type.Optional(Type.String({ maxLength: 60 })),
        },
        closed,
      ),
      response: { 200: Replay },
    },
    handler: async (request, reply) => {
      const { stream, to } = request.query;
      const view = await viewOf(deps, request, reply);
      if (!parseStream(stream) || (await view.stream(stream)).events.length === 0) {
        throw new LifecycleError('stream_not_found', `There is no stream ${stream}.`);
      }
      const place = to === undefined || to.startsWith('version:') ? to : String(await asOfIndex(deps, view.orgId, to));
      const { facts } = await replay(deps.log, stream, place);
      return {
        items: facts.map((fact) => ({
          event: eventView(fact.event),
          state_before: fact.stateBefore,
          state_after: fact.stateAfter,
          guards: [...fact.guards],
          is_divergent: fact.isDivergent,
        })),
      };
    },
  });
}
