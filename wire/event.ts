/** Events, streams, replay. */
import Type, { type Static } from 'typebox';
import { closed, Instant, JsonObject, Nullable, pageOf, Position, rowsOf, StreamState, Uuid } from './common.ts';

export const Event = Type.Object(
  {
    position: Position,
    id: Uuid,
    stream: Type.String(),
    stream_version: Type.Integer({ minimum: 1 }),
    type: Type.String(),
    machine: Type.String(),
    schema_version: Type.Integer({ minimum: 1 }),
    actor: Type.Object({ kind: Type.String(), id: Type.String() }, closed),
    command_id: Type.String(),
    correlation_id: Nullable(Type.String()),
    causation_id: Nullable(Type.String()),
    recorded_at: Instant,
    sequenced_at: Nullable(Instant),
    data: JsonObject,
  },
  closed,
);
export type Event = Static<typeof Event>;

export const EventPage = pageOf(Event);
export type EventPage = Static<typeof EventPage>;

export const Stream = Type.Object(
  {
    stream: Type.String(),
    machine: Type.String(),
    /** Dotted; the fold stops before a fact that its machine refuses. */
    state: StreamState,
    stream_version: Type.Integer({ minimum: 1 }),
    divergence: Nullable(
      Type.Object({ version: Type.Integer(), event_id: Uuid, type: Type.String(), state: StreamState }, closed),
    ),
    context: JsonObject,
    /** A page of its facts, in version order. */
    events: Type.Array(Event),
    /** Last version of the page, to be sent as `after` for the next one; null where nothing follows. */
    next_after: Nullable(Type.Integer({ minimum: 1 })),
  },
  closed,
);
export type Stream = Static<typeof Stream>;

export const Replay = rowsOf(
  Type.Object(
    {
      event: Event,
      state_before: StreamState,
      state_after: StreamState,
      /** Guards of the chart that let it through. */
      guards: Type.Array(Type.String()),
      is_divergent: Type.Boolean(),
    },
    closed,
  ),
);
export type Replay = Static<typeof Replay>;
