/**
 * What devices are told, the chart of the rollout and the page agree: at the end of every append of random histories, and some time after
 * it. The third reading is written here from the facts and the page alone: no fold, no clock and no width of the product.
 *
 * @source docs/design/rollout.md "Which version a device is told"
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { bucketOf } from '../../domain/rollout/assignment.ts';
import { assign } from '../../domain/rollout/pointer.ts';
import { createFold } from '../../domain/rollout/pointer.fixture.ts';
import { clockMs } from '../../domain/rollout/stageClock.ts';
import { latestOf } from '../../domain/semver.ts';
import { isLive, rolloutMachine } from '../../machines/rollout.ts';
import { historyOf, sequence } from './history.ts';

const DEVICES = Array.from({ length: 40 }, (_, i) => ({ id: `d-${i}`, platform: i % 3 === 0 ? 'ios' : 'android' }));
/** After an append: at once, in a ramp, long after it. */
const LATER_MS = [0, 20_000, 3_600_000];

/** One rollout as its facts tell it. */
interface Told {
  readonly id: number;
  readonly version: string;
  readonly platforms: readonly string[] | undefined;
  readonly holds: boolean;
  seed: string | null;
  lo: number;
  /** pending, running, standing (held or paused), over */
  state: 'pending' | 'running' | 'standing' | 'over';
  pausedInconclusive: boolean;
  stage: { from: number; to: number; ramp: number } | null;
  /** Spans in which the stage was active; the last may be open. */
  spans: [from: number, to: number | null][];
}
interface Model {
  readonly rollouts: Told[];
  readonly listed: string[];
  readonly marked: Set<string>;
  stable: string | null;
  hasBegun: boolean;
}

const sum = (spans: Told['spans'], now: number) =>
  spans.reduce((ms, [from, to]) => ms + Math.max(0, (to ?? Math.max(now, from)) - from), 0);
function stand(rollout: Told, at: number): void {
  const last = rollout.spans.at(-1);
  if (last && last[1] === null) last[1] = at;
  rollout.state = 'standing';
}
/** Takes time away from the end of the spans until `most` is left. */
function keepFirst(spans: Told['spans'], most: number): Told['spans'] {
  let left = most;
  return spans.map(([from, to]) => {
    const ms = Math.min(left, to! - from);
    left -= ms;
    return [from, from + ms];
  });
}

function read(model: Model, { stream, fact, recordedAt }: SequencedEvent): void {
  const at = Date.parse(recordedAt);
  const of = parseStream(stream)!;
  if (of.kind === 'model') {
    if (fact.type === 'VersionListed') model.listed.push(fact.data.version);
    if (fact.type === 'StableVersionChanged' || fact.type === 'StableVersionRestored') model.stable = fact.data.version;
  }
  if (of.kind === 'version' && fact.type === 'VersionRolledBack') model.marked.add(of.version);
  if (of.kind !== 'rollout') return;
  if (fact.type === 'RolloutCreated') {
    const { version, spec } = fact.data;
    const fresh = { seed: null, lo: 0, state: 'pending', pausedInconclusive: false, stage: null, spans: [] } as const;
    const holds = spec.on_regressed === 'hold';
    model.rollouts.push({ ...fresh, spans: [], id: of.rolloutId, version, platforms: spec.cohort?.platform, holds });
    return;
  }
  const rollout = model.rollouts.find(({ id }) => id === of.rolloutId)!;
  switch (fact.type) {
    case 'RolloutStarted':
      Object.assign(rollout, { seed: fact.data.seed, lo: fact.data.lo, state: 'running' });
      model.hasBegun = true;
      break;
    case 'StageEntered':
      rollout.stage = { from: fact.data.from, to: fact.data.to, ramp: fact.data.ramp_ms };
      rollout.spans = [[at, null]];
      break;
    case 'HealthJudged':
      if (fact.data.verdict === 'REGRESSED' && rollout.holds && rollout.state === 'running') stand(rollout, at);
      break;
    case 'RolloutPaused':
      stand(rollout, at);
      rollout.pausedInconclusive = fact.data.cause === 'inconclusive';
      break;
    case 'RolloutResumed':
      if (rollout.pausedInconclusive) rollout.spans = keepFirst(rollout.spans, rollout.stage!.ramp);
      Object.assign(rollout, { state: 'running', pausedInconclusive: false });
      rollout.spans.push([at, null]);
      break;
    case 'RolloutCompleted':
    case 'RolloutAborted':
    case 'RolloutRolledBack':
      rollout.state = 'over';
      break;
    default: // moves nothing that devices are told
  }
}

/** Buckets that are in: the share of the ramp grows with the square of the time. */
function widthOf({ stage, spans }: Told, now: number): number {
  const { from, to, ramp } = stage!;
  const ran = sum(spans, now);
  if (ran >= ramp) return to;
  return from + Number((BigInt(to - from) * BigInt(ran) ** 2n) / BigInt(ramp) ** 2n);
}

function due(model: Model, modelId: string, device: (typeof DEVICES)[number], now: number): string | undefined {
  const isGood = (version: string) => !model.marked.has(version);
  for (const rollout of model.rollouts) {
    if (rollout.state === 'pending' || rollout.state === 'over' || !rollout.stage || !isGood(rollout.version)) continue;
    if (rollout.platforms && !rollout.platforms.includes(device.platform)) continue;
    const at = (bucketOf(modelId, rollout.seed!, device.id) + 10_000 - rollout.lo) % 10_000;
    if (at < widthOf(rollout, now)) return rollout.version;
  }
  const fallback = model.stable ?? (model.hasBegun ? null : (latestOf(model.listed) ?? null));
  return fallback !== null && isGood(fallback) ? fallback : undefined;
}

it('agrees with the chart, and with what the page says', () => {
  const seen = { told: 0, inRamp: 0, standing: 0 };
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { minLength: 400, maxLength: 600, size: 'max' }), (drawn) => {
      // The histories have no ramps: each stage gets one, some shorter than the time to the next fact.
      const events = sequence(historyOf(drawn)).map((event) =>
        event.fact.type === 'StageEntered'
          ? {
              ...event,
              fact: { ...event.fact, data: { ...event.fact.data, ramp_ms: (event.logIndex * 37_000) % 400_000 } },
            }
          : event,
      );
      const models = new Map<string, Model>();
      const folds = new Map<string, ReturnType<typeof createFold>>();
      const modelOf = new Map<string, string>();
      const charts = new Map<string, ReturnType<typeof rolloutMachine.initial>>();
      events.forEach((event, i) => {
        const { stream, fact, version, id, recordedAt } = event;
        const of = parseStream(stream)!;
        if (fact.type === 'RolloutCreated') modelOf.set(stream, fact.data.model_id);
        const modelId = of.kind === 'rollout' ? modelOf.get(stream)! : of.kind === 'training' ? undefined : of.modelId;
        if (modelId === undefined) return;
        const at = Date.parse(recordedAt);
        if (of.kind === 'rollout') {
          const before = charts.get(stream) ?? rolloutMachine.initial();
          charts.set(
            stream,
            rolloutMachine.step(before, { type: fact.type, data: fact.data, at, eventId: id, version }),
          );
        }
        const fresh: Model = { rollouts: [], listed: [], marked: new Set(), stable: null, hasBegun: false };
        const model = models.get(modelId) ?? fresh;
        models.set(modelId, model);
        read(model, event);
        const fold = folds.get(modelId) ?? createFold();
        folds.set(modelId, fold);
        const pointer = fold(event);
        if (!pointer || events[i + 1]?.commandId === event.commandId) return;

        for (const later of LATER_MS) {
          const now = at + later;
          for (const rollout of model.rollouts) {
            const chart = charts.get(`rollout-${rollout.id}`)!;
            const isTold = rollout.state === 'running' || rollout.state === 'standing';
            expect([rollout.id, isLive(chart.state)]).toEqual([rollout.id, isTold]);
            if (!isTold || !rollout.stage) continue;
            expect(clockMs(chart.context.clock, now)).toBe(sum(rollout.spans, now));
            seen.standing += rollout.state === 'standing' ? 1 : 0;
            seen.inRamp += sum(rollout.spans, now) < rollout.stage.ramp ? 1 : 0;
          }
          for (const device of DEVICES) {
            const told = assign(pointer, device, new Date(now))?.version;
            expect([device.id, told]).toEqual([device.id, due(model, modelId, device, now)]);
            seen.told += told === undefined ? 0 : 1;
          }
        }
      });
    }),
    // A long history shrinks for minutes; its seed is enough to look into it.
    { numRuns: 12, endOnFailure: true },
  );
  expect(Math.min(seen.told, seen.inRamp, seen.standing)).toBeGreaterThan(20);
});
