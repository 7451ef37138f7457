/** Long work: training and publishing. Ids are those of the process; the state is a fold of facts. */
import Type, { type Static } from 'typebox';
import { closed, Count, EventRef, Nullable, Position, Problem } from './common.ts';

export const Operation = Type.Object(
  {
    id: Type.String(),
    kind: Type.Union([
      Type.Literal('training'),
      Type.Literal('publish'),
      Type.Literal('rollout'),
      Type.Literal('rollback'),
    ]),
    state: Type.Union([
      Type.Literal('running'),
      Type.Literal('succeeded'),
      Type.Literal('failed'),
      Type.Literal('cancelled'),
    ]),
    progress: Type.Object({ done: Count, total: Nullable(Count), unit: Type.String(), message: Type.String() }, closed),
    result: Nullable(Type.Record(Type.String(), Type.Unknown())),
    error: Nullable(Problem),
    links: Type.Record(Type.String(), Type.String()),
    position: Position,
  },
  closed,
);
export type Operation = Static<typeof Operation>;

/** 202 of train and publish, with the facts that began it. */
export const OperationCommanded = Type.Object({ ...Operation.properties, events: Type.Array(EventRef) }, closed);
export type OperationCommanded = Static<typeof OperationCommanded>;
