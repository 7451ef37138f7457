/**
 * Pure. The single wrapper over XState: a stream's state is the fold of its facts through its machine.
 *
 * XState's `transition()` builds a throw-away actor a call; one inert scope reused is about four times faster and gives the
 * same snapshots. The scope is semi-internal, so xstate is pinned exactly and an equivalence test runs over every machine.
 */
import type { TSchema } from 'typebox';
import { createActor, type AnyMachineSnapshot, type AnyStateMachine, type StateNode, type StateValue } from 'xstate';
import type { StoredEvent } from '../domain/events/envelope.ts';
import { NONE, type None, type StreamState } from '../domain/states.ts';
import type { OwnLists } from './growing.ts';

/** A fact as a machine sees it. `at` is its record time, Unix ms: clocks of a chart run on the log's time. */
export interface FactEvent {
  readonly type: string;
  readonly data: unknown;
  readonly at: number;
  readonly eventId: string;
  readonly version: number;
  /** Of the fold that is under way: its charts may change these lists in place. */
  readonly own?: OwnLists;
}

/** A recorded fact that its machine refuses: reported, never skipped. The fold stops before it. */
export interface Divergence<S extends StreamState = StreamState> {
  readonly version: number;
  readonly eventId: string;
  readonly type: string;
  readonly state: S;
}

/** `C`: its context; `S`: the names of its states. */
export interface Folded<C, S extends StreamState = StreamState> {
  /** Dotted path such as `Trained.ready`; regions of a parallel state are joined with `+`. */
  readonly state: S;
  readonly context: C;
  /** Version of the last fact in the stream, also past a divergence: appends expect it. */
  readonly version: number;
  readonly divergence: Divergence<S> | undefined;
  readonly snapshot: AnyMachineSnapshot;
}

/** One whose stream has begun: its state is one of the chart's own. */
export type Existing<F extends Folded<unknown>> = F & { readonly state: Exclude<F['state'], None> };

export const exists = <F extends Folded<unknown>>(folded: F): folded is Existing<F> => folded.state !== NONE;

/** Names of a state value, as {@link stateName} gives them. `Regions` are those of the parallel state, in the chart's order. */
type NameOf<V, Regions extends readonly string[]> = V extends string
  ? V
  : [keyof V] extends [Regions[number]]
    ? Joined<V, Regions>
    : { [K in keyof V & string]: `${K}.${NameOf<V[K], Regions>}` }[keyof V & string];
type Joined<V, Regions extends readonly string[]> = Regions extends readonly [
  infer First extends keyof V & string,
  ...infer Rest extends readonly string[],
]
  ? `${First}.${NameOf<V[First], []>}${Rest extends readonly [] ? '' : `+${Joined<V, Rest>}`}`
  : never;
type ChartNames<Chart extends AnyStateMachine, Regions extends readonly string[]> = NameOf<
  ReturnType<Chart['transition']>['value'],
  Regions
>;
/** Names of the states of a chart, for {@link wrap}: it refuses them where the list `Listed` has one that the chart has not. */
export type StateNameOf<Chart extends AnyStateMachine, Listed, Regions extends readonly string[] = []> = [
  Listed,
] extends [ChartNames<Chart, Regions>]
  ? ChartNames<Chart, Regions>
  : { readonly 'not in the chart': Exclude<Listed, ChartNames<Chart, Regions>> };

type Scope = Parameters<AnyStateMachine['transition']>[2];

/** Dotted name of a state value. */
export function stateName(value: AnyMachineSnapshot['value']): string {
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([key, inner]) => {
      const below = inner === undefined ? '' : stateName(inner);
      return below === '' ? key : `${key}.${below}`;
    })
    .join('+');
}

function leaf(node: StateNode): string {
  return node.path.join('.');
}

/** Whether XState would take a transition for `type`: an accepted self-transition counts, an unknown fact does not. */
function accepts(machine: AnyStateMachine, snapshot: AnyMachineSnapshot, event: FactEvent): boolean {
  return machine.getTransitionData(snapshot, event).length > 0;
}

export interface Machine<C, S extends StreamState = StreamState> {
  /** `name@version`, written beside every fact. */
  readonly name: string;
  readonly chart: AnyStateMachine;
  /** What a context may be: a stored one that does not fit is none of this machine's. */
  readonly context: TSchema;
  /** The state before any fact. */
  initial(): Folded<C, S>;
  /** From the beginning, or on from `from`. */
  fold(events: readonly StoredEvent[], from?: Folded<C, S>): Folded<C, S>;
  /** The fold that ended with `value` and `context` at `version`. @throws Error for a value that the chart does not have */
  resume(value: StateValue, context: unknown, version: number): Folded<C, S>;
  /** One fact further; a refused fact sets `divergence` and moves nothing else. */
  step(folded: Folded<C, S>, event: FactEvent): Folded<C, S>;
  /** The state as if the facts had been recorded at `at`, or the first one that the chart refuses. */
  propose(folded: Folded<C, S>, facts: readonly { type: string; data: unknown }[], at: number): { refused?: string };
  /** Names of the states that have a transition for a fact: what a refusal tells the caller. */
  statesAccepting(type: string): string[];
  /** Names of the guards of the chart that let `event` through from here; empty where it has none, or is refused. */
  guardsMet(folded: Folded<C, S>, event: FactEvent): string[];
}

/**
 * Wraps a chart. `C` is its context type, `S` its {@link StateNameOf}.
 *
 * @param name    `rollout@1`
 * @param chart   a machine of pure `assign` actions; its context factory is constant (XState re-runs it at each pure step)
 * @param context schema of `C`
 */
export function wrap<C, S extends StreamState>(name: string, chart: AnyStateMachine, context: TSchema): Machine<C, S> {
  const self = createActor(chart);
  const noop = () => {};
  // The members of ActorScope that a chart without effects can reach; checked by the equivalence test.
  const scope = {
    self,
    id: '',
    sessionId: '',
    logger: noop,
    defer: noop,
    stopChild: noop,
    system: self.system,
    emit: noop,
    actionExecutor: noop,
  } as unknown as Scope;
  const first = self.getSnapshot() as AnyMachineSnapshot;

  const foldedAt = (snapshot: AnyMachineSnapshot, version: number): Folded<C, S> => ({
    state: stateName(snapshot.value) as S, // the chart has no other names
    context: snapshot.context as C,
    version,
    divergence: undefined,
    snapshot,
  });
  const initial = () => foldedAt(first, 0);

  const step = (folded: Folded<C, S>, event: FactEvent): Folded<C, S> => {
    if (folded.divergence) return { ...folded, version: event.version };
    if (!accepts(chart, folded.snapshot, event)) {
      const divergence = { version: event.version, eventId: event.eventId, type: event.type, state: folded.state };
      return { ...folded, version: event.version, divergence };
    }
    return foldedAt(chart.transition(folded.snapshot, event, scope) as AnyMachineSnapshot, event.version);
  };

  return {
    name,
    chart,
    context,
    initial,
    resume: (value, saved, version) =>
      foldedAt(chart.resolveState({ value, context: saved }) as AnyMachineSnapshot, version),
    step,
    fold(events, from = initial()) {
      const own: OwnLists = new WeakMap();
      return events.reduce((folded, event) => step(folded, { ...toFactEvent(event), own }), from);
    },
    propose: (folded, facts, at) => {
      let current = folded;
      for (const fact of facts) {
        current = step(current, { ...fact, at, eventId: '', version: current.version + 1 });
        if (current.divergence) return { refused: fact.type };
      }
      return {};
    },
    guardsMet: (folded, event) =>
      chart.getTransitionData(folded.snapshot, event).flatMap(({ guard }) => {
        if (guard === undefined) return [];
        return [
          typeof guard === 'string' ? guard : 'type' in guard ? guard.type : 'name' in guard ? guard.name : 'guard',
        ];
      }),
    statesAccepting: (type) => {
      const found: string[] = [];
      const visit = (node: StateNode) => {
        if (node.transitions.has(type)) found.push(leaf(node));
        for (const child of Object.values(node.states)) visit(child);
      };
      visit(chart.root as StateNode);
      return found;
    },
  };
}

export function toFactEvent(event: StoredEvent): FactEvent {
  return {
    type: event.fact.type,
    data: event.fact.data,
    at: Date.parse(event.recordedAt),
    eventId: event.id,
    version: event.version,
  };
}
