/** `/events` and `/streams`: the log as it is. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import type { StoredEvent } from '../../../domain/events/envelope.ts';
import { parseStream } from '../../../domain/events/streams.ts';
import { machineFor } from '../../../machines/registry.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { answerPage, answerRows, pageRequestOf } from '../../lists.ts';
import { modelIdFrom, ownEvent, viewOf } from '../../reading.ts';
import { AsOfQuery, closed, Line, ModelRef, PageQuery, RowsQuery, Uuid } from '../../schemas/common.ts';
import { Event, EventPage, Stream } from '../../schemas/event.ts';
import { eventView } from '../../views/event.ts';

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
      params: Type.Object({ stream: Line(200) }, closed),
      querystring: Type.Object({ ...RowsQuery, ...AsOfQuery }, closed),
      response: { 200: Stream },
    },
    handler: async (request, reply) => {
      const name = request.params.stream;
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const found = parseStream(name) ? await view.stream(name) : undefined;
      if (!found || found.state.version === 0) {
        throw new LifecycleError('stream_not_found', `There is no stream ${name}.`);
      }
      const { state, events } = found;
      const { divergence } = state;
      const list = { name: 'stream', filter: { orgId: view.orgId, name }, keyOf: (e: StoredEvent) => [e.version] };
      const read = (limit: number, [after = 0]: readonly number[] = []) =>
        Promise.resolve(events.slice(after, after + limit));
      const page = await answerRows(deps, request, reply, list, request.query, read, eventView);
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
        events: page.items,
        next_cursor: page.next_cursor,
      };
    },
  });
}
