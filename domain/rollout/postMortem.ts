/**
 * Pure. The draft of a post-mortem: what happened, how many it reached, what gave it away, and where it was worst. A function of
 * the log and the counters, so that anyone gets the same draft; its text is in `postMortemText.ts`.
 */
import type { Actor, StoredEvent } from '../events/envelope.ts';
import type { ModelFact } from '../events/model.ts';
import type { Conviction, HealthJudgement, RollbackTrigger, RolloutFact } from '../events/rollout.ts';
import type { EvidenceJudgement } from '../events/verdict.ts';
import { isEvidence, isThresholds } from './policies.ts';
import { ranked, tellEvidence, tellGuilt } from './verdict/index.ts';
import { sumCells, type Cell } from './counters.ts';
import { rankSegments, type Segment } from './segments.ts';
import { tell } from './telling.ts';

export interface PostMortemInput {
  readonly rolloutId: number;
  /** The rollout's stream, whole. */
  readonly events: readonly StoredEvent<RolloutFact>[];
  /** Facts of the model's stream, of the types {@link TOLD_OF_MODEL}; those about other rollouts are left out of the timeline. */
  readonly modelEvents: readonly StoredEvent<ModelFact>[];
  /** Counters of every stage. */
  readonly leaves: readonly Cell[];
  /** Devices told the version, and those whose last report still names it; null where they could not be counted in time. */
  readonly devices: { readonly told: number; readonly outstanding: number } | null;
}

/** A model with thousands of versions has as many facts that a draft does not tell. */
export const TOLD_OF_MODEL = ['ModelRegistered', 'StableVersionChanged', 'StableVersionRestored'] as const;

export interface TimelineEntry {
  readonly at: string;
  readonly type: string;
  readonly actor: string;
  readonly text: string;
}

export interface StageExposure {
  readonly stage: number;
  /** Of the cohort, at the end of the ramp. */
  readonly percent: number;
  /** Canary devices that reported in the stage. */
  readonly devices: number;
  readonly minutes: number;
}

export interface CompletedExposure {
  /** All that were told the version, or the most of any stage: reports after completion belong to no stage. */
  readonly devices: number;
  /** From completion to `to`. */
  readonly minutes: number;
}

export interface EvidenceTrigger {
  readonly metric: string;
  /** Who is hurt; null: everyone. */
  readonly named: string | null;
  /** Bad windows of canary and control of whom is named. */
  readonly canary_bad: number;
  readonly control_bad: number;
  /** Windows of the whole metric that opened. */
  readonly canary: number;
  readonly control: number;
  /** Natural logs: what was found, and what was needed. */
  readonly log: number;
  readonly threshold: number;
  /** Stage clock at the look, milliseconds. */
  readonly clock_ms: number;
  /** What pre-flight had promised of the metric in this stage: the smallest multiple it would convict; null: none that was tried. */
  readonly promised: number | null;
  /** The same for people. */
  readonly told: string;
  /** By falling excess over what control explains. */
  readonly segments: readonly {
    readonly segment: string;
    readonly canary_bad: number;
    readonly control_bad: number;
    readonly excess: number;
  }[];
}

export interface PostMortem {
  readonly rollout_id: number;
  readonly model_id: string;
  readonly model: string | null;
  readonly version: string;
  readonly target: string | null;
  readonly outcome: 'rolled_back' | 'aborted' | 'completed' | 'running';
  readonly timeline: readonly TimelineEntry[];
  readonly exposure: {
    readonly from: string | null;
    /** The end of the rollout; where it has not ended, or completed and was not withdrawn, its last fact. */
    readonly to: string | null;
    readonly stages: readonly StageExposure[];
    /** Null where it never completed. */
    readonly completed: CompletedExposure | null;
    /** Most devices of any stage (later ones contain earlier ones); after completion, at least all that were told, where they were counted. */
    readonly devices: number;
    /** At most: each device of a stage for as long as the stage lasted, and likewise after completion. */
    readonly device_minutes: number;
  };
  readonly trigger: {
    readonly kind: RollbackTrigger;
    readonly actor: string;
    readonly reason: string;
    readonly stage: number | null;
    /** The rule that ended it; null where a person did. `value` is numerator over denominator; the integers decided. */
    readonly rule: (Conviction & { readonly value: number }) | null;
    /** What the windows showed; absent under fixed limits, and where a person ended it without a judgement. */
    readonly evidence?: EvidenceTrigger;
  } | null;
  /** By falling excess over what control would explain. */
  readonly segments: readonly Segment[];
  /** Null where they could not be counted in time. */
  readonly devices: { readonly told: number; readonly back: number; readonly outstanding: number } | null;
  readonly root_cause: { readonly text: string; readonly at: string; readonly actor: string } | null;
}

type Event = StoredEvent<RolloutFact>;
type Of<T extends RolloutFact['type']> = StoredEvent<Extract<RolloutFact, { type: T }>>;

const ofType = <T extends RolloutFact['type']>(events: readonly Event[], type: T): Of<T>[] =>
  // Safe: the filter keeps facts of that type only.
  events.filter((e) => e.fact.type === type) as Of<T>[];

const actorOf = ({ kind, id }: Actor) => `${kind} ${id}`;
const minutesBetween = (from: string, to: string) => Math.max(0, Date.parse(to) - Date.parse(from)) / 60_000;
const rounded = (value: number) => Math.round(value * 100) / 100;

/**
 * The draft. Never throws for a stream that its machine accepts.
 *
 * @throws RangeError where `events` does not begin with RolloutCreated (a bug of the caller)
 * @source docs/design/rollout.md "Post-mortem"
 */
export function postMortem(input: PostMortemInput): PostMortem {
  const { rolloutId, events, modelEvents, leaves, devices } = input;
  const created = ofType(events, 'RolloutCreated')[0];
  if (!created) throw new RangeError(`rollout ${rolloutId}: its stream does not begin with RolloutCreated`);
  const rolledBack = ofType(events, 'RolloutRolledBack')[0];
  const registered = modelEvents.find((e) => e.fact.type === 'ModelRegistered')?.fact;
  const rootCause = ofType(events, 'RootCauseRecorded').at(-1);
  const trigger = triggerOf(events);
  return {
    rollout_id: rolloutId,
    model_id: created.fact.data.model_id,
    model: registered?.type === 'ModelRegistered' ? registered.data.name : null,
    version: created.fact.data.version,
    target: rolledBack?.fact.data.target ?? null,
    outcome: outcomeOf(events),
    timeline: timelineOf(input),
    exposure: exposureOf(events, leaves, devices?.told ?? 0),
    trigger,
    segments: rankSegments(leaves, widthsOf(events), trigger?.rule?.metric === 'download_failure_rate'),
    devices: devices && { ...devices, back: devices.told - devices.outstanding },
    root_cause: rootCause
      ? { text: rootCause.fact.data.text, at: rootCause.recordedAt, actor: actorOf(rootCause.actor) }
      : null,
  };
}

function outcomeOf(events: readonly Event[]): PostMortem['outcome'] {
  if (ofType(events, 'RolloutRolledBack').length > 0) return 'rolled_back';
  if (ofType(events, 'RolloutAborted').length > 0) return 'aborted';
  return ofType(events, 'RolloutCompleted').length > 0 ? 'completed' : 'running';
}

/** Buckets of each stage at the end of its ramp. */
const widthsOf = (events: readonly Event[]): ReadonlyMap<number, number> =>
  new Map(ofType(events, 'StageEntered').map((e) => [e.fact.data.stage, e.fact.data.to]));

function timelineOf({ rolloutId, events, modelEvents }: PostMortemInput): TimelineEntry[] {
  const about = modelEvents.filter((e) => 'rollout_id' in e.fact.data && e.fact.data.rollout_id === rolloutId);
  return [...events, ...about]
    .map((event, order) => ({ event, order }))
    .sort((a, b) => Date.parse(a.event.recordedAt) - Date.parse(b.event.recordedAt) || a.order - b.order)
    .map(({ event: { recordedAt, fact, actor } }) => ({
      at: recordedAt,
      type: fact.type,
      actor: actorOf(actor),
      text: tell(fact),
    }));
}

const ENDS: readonly RolloutFact['type'][] = ['RolloutRolledBack', 'RolloutAborted'];

function exposureOf(events: readonly Event[], leaves: readonly Cell[], told: number): PostMortem['exposure'] {
  const entered = ofType(events, 'StageEntered');
  const end = events.find((e) => ENDS.includes(e.fact.type)) ?? events.at(-1);
  const to = entered.length > 0 && end ? end.recordedAt : null;
  const completedAt = ofType(events, 'RolloutCompleted')[0]?.recordedAt;
  const stages = entered.map(({ fact, recordedAt }, index): StageExposure => {
    const leaves_ = leaves.filter((l) => l.stage === fact.data.stage);
    const left = entered[index + 1]?.recordedAt ?? completedAt ?? to ?? recordedAt;
    return {
      stage: fact.data.stage,
      percent: fact.data.to / 100,
      devices: sumCells(leaves_).canary.devices,
      minutes: rounded(minutesBetween(recordedAt, left)),
    };
  });
  const most = stages.reduce((m, s) => Math.max(m, s.devices), 0);
  const completed: CompletedExposure | null =
    completedAt === undefined || to === null
      ? null
      : { devices: Math.max(most, told), minutes: rounded(minutesBetween(completedAt, to)) };
  return {
    from: entered[0]?.recordedAt ?? null,
    to,
    stages,
    completed,
    devices: completed?.devices ?? most,
    device_minutes: rounded(
      [...stages, ...(completed ? [completed] : [])].reduce((sum, s) => sum + s.devices * s.minutes, 0),
    ),
  };
}

/** What ended it, or the verdict that stands; null while nothing spoke against it. */
function triggerOf(events: readonly Event[]): PostMortem['trigger'] {
  const rolledBack = ofType(events, 'RolloutRolledBack')[0];
  if (rolledBack) {
    const { trigger: kind, reason, evidence } = rolledBack.fact.data;
    return { kind, actor: actorOf(rolledBack.actor), reason, ...numbersOf(evidence, events) };
  }
  const aborted = ofType(events, 'RolloutAborted')[0];
  if (aborted) {
    return {
      kind: 'manual',
      actor: actorOf(aborted.actor),
      reason: aborted.fact.data.reason,
      ...numbersOf(null, events),
    };
  }
  const judged = ofType(events, 'HealthJudged').findLast((e) => speaksAgainst(e.fact.data));
  if (!judged) return null;
  const { data } = judged.fact;
  return { kind: 'verdict', actor: actorOf(judged.actor), reason: data.verdict, ...numbersOf(data, events) };
}

const speaksAgainst = (judgement: HealthJudgement): boolean =>
  isThresholds(judgement) ? judgement.rule !== null : judgement.guilt !== null || judgement.over_limit.length > 0;

const numbersOf = (judgement: HealthJudgement | null, events: readonly Event[]) => {
  const rule = judgement && isThresholds(judgement) ? judgement.rule : null;
  const evidence = judgement && isEvidence(judgement) ? evidenceOf(judgement, events) : undefined;
  return {
    stage: judgement?.stage ?? null,
    rule: rule && { ...rule, value: valueOf(rule) },
    ...(evidence === undefined ? {} : { evidence }),
  };
};

const MILLION = 1_000_000;

/** Undefined where nothing spoke against the version. */
function evidenceOf(judgement: EvidenceJudgement, events: readonly Event[]): EvidenceTrigger | undefined {
  const { guilt, over_limit: over, stage, metrics, threshold, clock_ms } = judgement;
  const metric = guilt?.metric ?? over[0];
  const whole = metrics.find((m) => m.metric === metric);
  if (metric === undefined || !whole) return undefined;
  const own = judgement.segments.filter((s) => s.metric === metric);
  const named = own.find((s) => s.segment === guilt?.named);
  const log = guilt?.by === 'G' ? own.reduce((most, s) => Math.max(most, s.ln_g), whole.ln_g ?? 0) : (whole.ln_a ?? 0);
  const entered = ofType(events, 'StageEntered').findLast((e) => e.fact.data.stage === stage);
  return {
    metric,
    named: named?.segment ?? null,
    canary_bad: (named ?? whole).x,
    control_bad: (named ?? whole).y,
    canary: whole.opened[0],
    control: whole.opened[1],
    log: (named?.ln_g ?? log) / MILLION,
    threshold: threshold / MILLION,
    clock_ms,
    promised: entered?.fact.data.evidence?.convicts[metric] ?? null,
    told: guilt ? tellGuilt(judgement) : tellEvidence(judgement),
    segments: ranked(own).map(({ segment, x, y, excess }) => ({
      segment,
      canary_bad: x,
      control_bad: y,
      excess: rounded(excess),
    })),
  };
}

const valueOf = ({ numerator, denominator }: Conviction) => (denominator === 0 ? 0 : numerator / denominator);
