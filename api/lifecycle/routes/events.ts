/** `/events` and `/streams`: the log as it is. */
import Type from 'typebox';
import { asStreamVersion } from '../../../domain/brands.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { parseStream } from '../../../domain/events/streams.ts';
import { machineFor } from '../../../machines/registry.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { answerPage, pageRequestOf } from '../../lists.ts';
import { modelIdFrom, ownEvent, viewOf } from '../../reading.ts';
import { AsOfQuery, closed, Line, ModelRef, PageQuery, Uuid } from '../../../wire/common.ts';
import { Event, EventPage, Stream } from '../../../wire/event.ts';
import { eventView } from '../views/event.ts';

const tags = ['events'];
const StreamKind = Type.Union([
  Type.Literal('model'),
  Type.Literal('version'),
  Type.Literal('training'),
  Type.Literal('rollout'),
]);

export function eventRoutes(app: App, deps: ApiDeps): void {
  app.get('/events', {
    config: { scope: 'events:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          ...PageQuery,
          ...AsOfQuery,
          /** First position, inclusive. */
          from: Type.Optional(Type.Integer({ minimum: 0, maximum: 999_999_999_999_999 })),
          kind: Type.Optional(StreamKind),
          type: Type.Optional(Line(100)),
          model: Type.Optional(ModelRef),
          stream: Type.Optional(Line(200)),
          newest_first: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
      response: { 200: EventPage },
    },
    handler: async (request, reply) => {
      const { from, kind, type, model, stream, newest_first, ...query } = request.query;
      const page = await pageRequestOf(deps, request, query, 'activity');
      const { orgId } = whoAsks(request);
      const filter = {
        orgId,
        ...(from === undefined ? {} : { from }),
        ...(kind === undefined ? {} : { kind }),
        ...(type === undefined ? {} : { type }),
        ...(model === undefined ? {} : { modelId: modelIdFrom(orgId, model) }),
        ...(stream === undefined ? {} : { stream }),
        ...(newest_first === undefined ? {} : { isNewestFirst: newest_first }),
      };
      return answerPage(deps, request, reply, await deps.reads.events(filter, page), eventView);
    },
  });

  app.get('/events/:id', {
    config: { scope: 'events:read' },
    schema: { tags, params: Type.Object({ id: Uuid }, closed), response: { 200: Event } },
    handler: async (request) => eventView(await ownEvent(deps, whoAsks(request).orgId, request.params.id)),
  });

  app.get('/streams/:stream', {
    config: { scope: 'events:read' },
    schema: {
      tags,
      description: 'State and context are of the whole stream; its facts come in pages.',
      params: Type.Object({ stream: Line(200) }, closed),
      querystring: Type.Object(
        {
          ...AsOfQuery,
          /** Facts of versions above it. */
          after: Type.Optional(Type.Integer({ minimum: 0, maximum: 999_999_999_999_999, default: 0 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 500 })),
        },
        closed,
      ),
      response: { 200: Stream },
    },
    handler: async (request, reply) => {
      const name = request.params.stream;
      const { as_of, limit = 500 } = request.query;
      const after = asStreamVersion(request.query.after ?? 0);
      const view = await viewOf(deps, request, reply, as_of);
      const found = parseStream(name) ? await view.stream(name) : undefined;
      if (!found || found.state.version === 0) {
        throw new LifecycleError('stream_not_found', `There is no stream ${name}.`);
      }
      const { state } = found;
      const { divergence } = state;
      const events = await view.facts(name, { after, limit });
      const last = events.at(-1)?.version ?? after;
      return {
        stream: name,
        machine: machineFor(name).name,
        state: state.state,
        stream_version: state.version,
        divergence: divergence
          ? {
              version: divergence.version,
              event_id: divergence.eventId,
              type: divergence.type,
              state: divergence.state,
            }
          : null,
        // A chart's context is a plain object; its members differ by kind of stream.
        context: state.context as Record<string, unknown>,
        events: events.map(eventView),
        next_after: last < state.version ? last : null,
      };
    },
  });
}
