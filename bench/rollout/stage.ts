/**
 * One stage, device by device: who is told, who becomes active, whose windows open, and how they end. It is told in one sitting because the order of
 * those four is what the judge depends on.
 */
import { widthAt } from '../../domain/rollout/assignment.ts';
import {
  badWrong,
  uniformOf,
  METRICS,
  sampleBit,
  stratumOf,
  toldSlots,
  watchedSlots,
  type Metric,
} from '../../domain/rollout/verdict/index.ts';
import { deviceLimit } from '../../domain/rollout/verdict/limit.ts';
import { createHabits } from './clock.ts';
import type { Fault } from './faults.ts';
import { FRAIL, osOf, type Fleet } from './fleet.ts';
import { binomial, exponential, gamma, poisson, type Random } from './random.ts';
import { createCounter, isCrashTold } from './sessions.ts';
import { BAD, CANARY, CONTROL, createWindowLog, GOOD, METRIC_INDEX, OPENED, STRATA } from './windows.ts';
import type { ArmIndex, WindowLog } from './windows.ts';
import type { World } from './world.ts';

export const HOUR = 3_600_000;
/** Failure rate of devices that are bad in every stage. */
const FRAIL_RATE = 0.3;
const SILENT_HOURS = 6;
/** A started app has told its crash after so many hours, in the mean. */
const RESTART_HOURS = 1 / 12;
/** Spread of one device's prediction times around its own speed, in logs, and that of devices around the fleet. */
const [WITHIN, BETWEEN] = [0.4, 0.2];
const Q95 = 1.645 * Math.hypot(WITHIN, BETWEEN);

/** A stage as the spec and the rollout's facts give it, with when its clock stood. */
export interface StagePlan {
  readonly rollout: string;
  readonly stage: number;
  readonly from: number;
  readonly to: number;
  readonly rampMs: number;
  readonly minBakeMs: number;
  /** Between two looks, and until the last. */
  readonly lookHours: number;
  readonly hours: number;
  /** Stage clock, hours, at each look of wall time; absent: it never stood. */
  readonly clock?: Float64Array;
}

export interface StageRun {
  readonly log: WindowLog;
  readonly looks: number;
  /** Canary devices of this stage that were told and were active by each look. */
  readonly told: Uint32Array;
  readonly active: Uint32Array;
}

const row = (name: string): Metric => METRICS[METRIC_INDEX.get(name)!]!;
const samplesOf = (metric: Metric) => {
  if (metric.ends.by !== 'samples') throw new Error(`${metric.name} counts no samples`);
  return metric.ends;
};

/** When each bucket comes inside, hours of stage clock, by the real ramp. */
function insideFrom(from: number, to: number, rampMs: number): Float64Array {
  const key = `${from}:${to}:${rampMs}`;
  const known = ramps.get(key);
  if (known) return known;
  const at = new Float64Array(10_000).fill(Infinity);
  for (let bucket = 0; bucket < to; bucket += 1) {
    let [low, high] = [0, rampMs];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (widthAt({ from, to, rampMs, clockMs: middle }) > bucket) high = middle;
      else low = middle + 1;
    }
    at[bucket] = low / HOUR;
  }
  ramps.set(key, at);
  return at;
}
const ramps = new Map<string, Float64Array>();

/** Rate of single failures at which P(bad bit) is `share`. */
function rateOf(share: number, size: number, bad: number): number {
  let [low, high] = [0, 0.5];
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (deviceLimit(middle, size, bad) < share) low = middle;
    else high = middle;
  }
  return low;
}

/** P(Z > z) of a standard normal. @source Abramowitz and Stegun 26.2.17 */
function above(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = 0.3989422804 * Math.exp((-z * z) / 2) * poly;
  return z >= 0 ? tail : 1 - tail;
}

/** Simulates a whole stage. What the judge decides meanwhile changes nothing before its end, so it may be asked afterwards. */
export function runStage(random: Random, fleet: Fleet, world: World, plan: StagePlan, fault?: Fault): StageRun {
  const { stage, from, to, lookHours, hours } = plan;
  const looks = Math.ceil(hours / lookHours) + 1;
  const log = createWindowLog(looks);
  const told = new Uint32Array(looks);
  const active = new Uint32Array(looks);
  const habits = createHabits(random, world, fleet);
  const inside = insideFrom(from, to, plan.rampMs);
  const lateAt = (plan.rampMs + plan.minBakeMs / 2) / HOUR;
  const measures = new Set(world.simulated);
  const lookAt = (t: number): number => Math.ceil(t / lookHours - 1e-9);
  const clockAt = (t: number): number =>
    plan.clock ? (plan.clock[Math.min(looks - 1, Math.max(0, lookAt(t)))] ?? t) : t;

  /** What is told while telemetry is cut arrives at its end. */
  const { cut } = world;
  const arrives = (i: number, t: number, arm: ArmIndex): number =>
    cut && t >= cut.from && t < cut.to && (cut.whose === 'all' || arm === CONTROL)
      ? cut.to + fleet.report[i]! * random()
      : t;

  const add = (name: string, kind: 0 | 1 | 2, i: number, arm: ArmIndex, t: number, opened: number): void => {
    const stratum = Math.min(STRATA - 1, stratumOf(clockAt(opened) * HOUR));
    log.add(lookAt(t), METRIC_INDEX.get(name)!, kind, arm, stratum, fleet.leaf[i]!);
  };
  const byChance = 1 - world.frail;
  const { errors: badErrors, crash: badCrash, silence: badSilence } = world.bad;
  const errorRate = rateOf(byChance * badErrors, 20, 2);
  const hits = (i: number, share: number): boolean =>
    fleet.luck[i]! < share && (world.wrong.os === undefined || osOf(fleet.leaf[i]!) === world.wrong.os);

  // No closures in what runs for each device: making one costs more than what it does.
  /** Share of the hours awake between two moments that lies in a span. */
  function overlap(i: number, begin: number, end: number, start: number, stop: number, whole: number): number {
    const [from, to] = [Math.max(begin, start), Math.min(end, stop)];
    return to <= from || whole <= 0 ? 0 : Math.min(1, (habits.awake(i, to) - habits.awake(i, from)) / whole);
  }

  /** Spans in which the rate of a device is another than its own, in rising order. */
  const wrongErrors = world.wrong.errors;
  function failures(
    i: number,
    arm: ArmIndex,
    begin: number,
    reached: number,
    end: number,
    size: number,
  ): readonly [number, number] {
    const usage = fleet.usage[i]! * (arm === CANARY ? world.canaryUsage : 1);
    const [a, b, c] = [habits.awake(i, begin), habits.awake(i, reached), habits.awake(i, end)];
    const later = poisson(random, usage * (c - b));
    const isHit = arm === CANARY && wrongErrors !== undefined && hits(i, wrongErrors.share);
    const own = fleet.frail[i]! & FRAIL.errors ? FRAIL_RATE : errorRate;
    const since = isHit ? (wrongErrors.from ?? -Infinity) : Infinity;
    // All but the last of the first ones lie evenly over the hours awake, and so do the later ones.
    let [left, leftLater, failed] = [size - 1, later, 0];
    let [spare, spareLater] = [b - a, c - b];
    let last = reached >= since ? wrongErrors!.rate : own;
    const spans = [...world.outages, ...(isHit ? [{ from: since, to: Infinity, rate: wrongErrors.rate }] : [])];
    for (const { from: start, to: stop, rate } of spans) {
      if (start > end || stop < begin) continue;
      if (reached >= start && reached < stop) last = Math.max(last, rate);
      const [p, q] = [
        overlap(i, begin, reached, start, stop, spare),
        overlap(i, reached, end, start, stop, spareLater),
      ];
      const [n, m] = [binomial(random, left, p), binomial(random, leftLater, q)];
      failed += binomial(random, n + m, rate);
      [left, leftLater] = [left - n, leftLater - m];
      [spare, spareLater] = [spare * (1 - p), spareLater * (1 - q)];
    }
    failed += binomial(random, left + leftLater, own) + (random() < last ? 1 : 0);
    return [size + later, failed];
  }

  const slowRate = (i: number, arm: ArmIndex): number => {
    const shift = arm === CANARY ? Math.log(world.wrong.slower ?? 1) : 0;
    const q = Q95 + (arm === CANARY ? Math.log(row('latency_p95').slower ?? 1) : 0);
    return above((q - fleet.speed[i]! - shift) / WITHIN);
  };
  const wrongAnswers = (i: number): number =>
    fleet.frail[i]! & FRAIL.drift ? 0.4 : (1_000_000 - world.accuracy.field) / 1e6;

  /** A window over samples: when it ends, and its bit. */
  function watchSamples(name: string, i: number, arm: ArmIndex, opened: number): void {
    const metric = row(name);
    const ends = samplesOf(metric);
    add(name, OPENED, i, arm, arrives(i, opened, arm), opened);
    const pace = fleet.usage[i]! * (arm === CANARY ? world.canaryUsage : 1) * (ends.of === 'labelled' ? 0.25 : 1);
    const reached = habits.whenAwake(i, habits.awake(i, opened) + gamma(random, ends.size) / pace);
    if (reached > hours) return;
    const at = habits.reportAfter(i, opened, reached);
    if (at > hours) return;
    let [seen, failed] = [ends.size + poisson(random, pace * (habits.awake(i, at) - habits.awake(i, reached))), 0];
    if (metric.policy === 'errors') [seen, failed] = failures(i, arm, opened, reached, at, ends.size);
    else failed = binomial(random, seen, ends.of === 'timed' ? slowRate(i, arm) : wrongAnswers(i));
    const bad = metric.bad ?? badWrong(ends.size, world.accuracy.validated);
    const bit =
      fault === 'plain-share' && metric.policy === 'errors'
        ? failed >= 2 && failed >= 0.1 * seen - 1e-9
        : sampleBit(ends, seen, failed, bad, () => uniformOf(plan.rollout, stage, name, `d-${i}`));
    const heard = arrives(i, at, arm);
    add(name, bit ? BAD : GOOD, i, arm, heard, arrives(i, opened, arm));
  }

  /** The same where the app restarts every few predictions: each report goes through the fold of sessions. */
  function watchSessions(i: number, arm: ArmIndex, opened: number, perSession: number): void {
    const ends = samplesOf(row('errors'));
    const take = createCounter(fault === 'fallen-counter');
    const rate = fleet.frail[i]! & FRAIL.errors ? FRAIL_RATE : errorRate;
    add('errors', OPENED, i, arm, opened, opened);
    let [session, seq, predictions, failed] = [1, 0, 0, 0];
    for (let t = opened; ;) {
      const next = habits.reportAfter(i, t, t);
      if (next > hours) return;
      const made = poisson(random, fleet.usage[i]! * (habits.awake(i, next) - habits.awake(i, t)));
      for (let k = 0; k < made; k += 1) {
        // What a session had made before it ended goes with its last numbers.
        if (predictions >= perSession) {
          take({ session, seq: (seq += 1), predictions, failed, crashes: 0 });
          [session, seq, predictions, failed] = [session + 1, 0, 0, 0];
        }
        predictions += 1;
        if (random() < rate) failed += 1;
      }
      const totals = take({ session, seq: (seq += 1), predictions, failed, crashes: 0 });
      const bit = sampleBit(ends, totals.predictions, totals.failed, 2, () =>
        uniformOf(plan.rollout, stage, 'errors', `d-${i}`),
      );
      if (bit !== undefined) return add('errors', bit ? BAD : GOOD, i, arm, next, opened);
      t = next;
    }
  }

  /** Right after the first prediction, which is a minute away: a version becomes active because somebody opens the app. */
  const firstCrash = (i: number, begin: number): number =>
    habits.whenAwake(i, habits.awake(i, begin) + exponential(random) / 60) + RESTART_HOURS * random();

  /** When a device crashes after `from`, Infinity if it does not in this stage. */
  function crashAfter(i: number, arm: ArmIndex, begin: number): number {
    if (arm === CANARY && world.wrong.crash !== undefined && hits(i, world.wrong.crash)) return firstCrash(i, begin);
    if (fleet.frail[i]! & FRAIL.crash) return firstCrash(i, begin);
    return random() < byChance * badCrash ? begin + 24 * random() : Infinity;
  }

  function watchCrash(i: number, arm: ArmIndex, opened: number, crash: number): void {
    add('crash', OPENED, i, arm, arrives(i, opened, arm), opened);
    const heard = Math.max(opened, crash);
    if (heard <= hours && isCrashTold(fault === 'fallen-counter', 1 + Math.floor(3 * random()))) {
      add('crash', BAD, i, arm, arrives(i, heard, arm), opened);
    } else add('crash', GOOD, i, arm, opened + SILENT_HOURS, opened);
  }

  function watchSilence(i: number, arm: ArmIndex, opened: number, lost: number): void {
    add('silence', OPENED, i, arm, opened, opened);
    const quiet =
      fleet.frail[i]! & FRAIL.silence ? opened : random() < byChance * badSilence ? opened + 24 * random() : Infinity;
    const hidden =
      cut && arm === CONTROL && cut.whose === 'control' && cut.to - cut.from >= SILENT_HOURS ? cut.from : Infinity;
    const last = Math.min(quiet, lost, habits.nightfall(i, opened), Math.max(opened, hidden));
    if (last + SILENT_HOURS <= hours) add('silence', BAD, i, arm, last + SILENT_HOURS, opened);
    else add('silence', GOOD, i, arm, opened + SILENT_HOURS, opened);
  }

  /** All windows that a report opens, and the second ones. */
  function watch(i: number, arm: ArmIndex, opened: number, crash: number): void {
    if (measures.has('errors')) {
      if (world.session !== undefined) watchSessions(i, arm, opened, world.session);
      else watchSamples('errors', i, arm, opened);
    }
    if (measures.has('latency_p95')) watchSamples('latency_p95', i, arm, opened);
    if (measures.has('drift')) watchSamples('drift', i, arm, opened);
    if (measures.has('crash')) watchCrash(i, arm, opened, crash);
    if (opened > lateAt || lateAt > hours) return;
    const second = habits.report(i, lateAt);
    if (second > hours) return;
    if (measures.has('errors_late')) watchSamples('errors_late', i, arm, second);
    if (measures.has('latency_late')) watchSamples('latency_late', i, arm, second);
  }

  function tellCanary(i: number): void {
    const bucket = fleet.bucket[i]!;
    const isPrior = bucket < from;
    const at = habits.contact(i, wallAt(inside[bucket]!));
    if (at > hours) return;
    told[Math.min(looks - 1, lookAt(at))]! += 1;
    if (fleet.old[i]) return;
    if (measures.has('download') && !isPrior) {
      const ended = at + random();
      add('download', random() < world.bad.download ? BAD : GOOD, i, CANARY, ended, at);
    }
    const works = isPrior || random() >= world.never;
    const activated = isPrior ? at : works ? at + exponential(random) * world.lagHours : Infinity;
    const isBricked = world.wrong.bricked !== undefined && hits(i, world.wrong.bricked);
    if (measures.has('silence')) watchSilence(i, CANARY, at, isBricked ? activated : Infinity);
    if (isBricked || activated > hours) return;
    if (measures.has('install') && !isPrior) {
      const first = habits.whenAwake(i, habits.awake(i, activated) + exponential(random) / fleet.usage[i]!);
      add('install', random() < world.bad.install ? BAD : GOOD, i, CANARY, first, at);
    }
    const crash = crashAfter(i, CANARY, activated);
    // A crash is told at the next start, which may be the first that is heard of the new version.
    const opened = Math.min(habits.report(i, activated), crash);
    if (opened > hours) return;
    active[Math.min(looks - 1, lookAt(arrives(i, opened, CANARY)))]! += 1;
    watch(i, CANARY, opened, crash);
  }

  /** Wall time of a moment of the stage clock. */
  function wallAt(clock: number): number {
    if (!plan.clock || clock === Infinity) return clock;
    let [low, high] = [0, looks - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (plan.clock[middle]! >= clock) high = middle;
      else low = middle + 1;
    }
    return Math.min(low * lookHours, Math.max(clock, (low - 1) * lookHours + 1e-6));
  }

  for (let i = 0; i < fleet.size; i += 1) if (fleet.bucket[i]! < to) tellCanary(i);
  for (let k = 1; k < looks; k += 1) {
    told[k]! += told[k - 1]!;
    active[k]! += active[k - 1]!;
  }

  /** The first look at which control devices of each slot are asked about, for windows at a report and for silence. */
  const watchedFrom = firstLooks(looks, (k) => {
    const width = widthAt({ from, to, rampMs: plan.rampMs, clockMs: Math.floor(clockAt(k * lookHours) * HOUR) });
    return fault === 'open-at-contact'
      ? toldSlots(width, to)
      : watchedSlots(width, to, { told: told[k]!, active: active[k]! });
  });
  const toldFrom = firstLooks(looks, (k) =>
    toldSlots(widthAt({ from, to, rampMs: plan.rampMs, clockMs: Math.floor(clockAt(k * lookHours) * HOUR) }), to),
  );

  for (let i = 0; i < fleet.size; i += 1) {
    if (fleet.bucket[i]! < to) continue;
    const slot = fleet.slot[i]!;
    if (measures.has('silence')) {
      const asked = toldFrom[slot]! * lookHours;
      const at = habits.contact(i, Math.max(0, asked - lookHours));
      if (at <= hours) watchSilence(i, CONTROL, at, Infinity);
    }
    if (fleet.old[i]) continue;
    const from0 = watchedFrom[slot]! * lookHours;
    if (from0 > hours) continue;
    const opened = fault === 'open-at-contact' ? habits.contact(i, from0) : habits.report(i, from0);
    if (opened > hours) continue;
    const crash = measures.has('crash') ? crashAfter(i, CONTROL, opened - fleet.report[i]! * random()) : Infinity;
    watch(i, CONTROL, opened, crash);
  }
  return { log, looks, told, active };
}

/** By slot: the first look at which the share of slots that are asked has passed it; Infinity: never. */
function firstLooks(looks: number, slotsAt: (look: number) => number): Float64Array {
  const first = new Float64Array(10_000).fill(Infinity);
  let next = 0;
  for (let k = 0; k < looks && next < 10_000; k += 1) {
    const slots = slotsAt(k);
    while (next < 10_000 && next < slots) {
      first[next] = k;
      next += 1;
    }
  }
  return first;
}
