/** Random lives under the policy `evidence`: what judge and plan propose, the chart accepts, and pointer and list say the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RolloutFact, RolloutSpec } from '../domain/events/rollout.ts';
import { decode } from '../domain/events/codec.ts';
import { saysMore } from '../domain/rollout/consequence.ts';
import { nextStep } from '../domain/rollout/plan.ts';
import {
  created,
  evidenceSpecOf,
  onRollout,
  pointerOf,
  registered,
  T0,
  type Step,
} from '../domain/rollout/pointer.fixture.ts';
import { evidencePolicy } from '../domain/rollout/policies.ts';
import { clockMs, readClock } from '../domain/rollout/stageClock.ts';
import { METRICS, recheckEvidence, type StageReading } from '../domain/rollout/verdict/index.ts';
import { isLive, rolloutMachine, type RolloutState } from '../machines/rollout.ts';
import { decideRollout, type RolloutCommand } from '../machines/rolloutDecision.ts';
import { lookAtWindows, rolloutStanding } from './rolloutStanding.ts';

const MEASURED = METRICS.filter((row) => row.name !== 'drift').map((row) => row.name);
const evidence = {
  has_control: true,
  segments: ['platform:ios', 'os:ios 14'],
  expected: [200, 1800] as [number, number],
  can_prove: false,
  convicts: { errors: 3 },
};

interface Seen {
  readonly windows: number;
  readonly bad: Readonly<Record<string, number>>;
  readonly silentMs: number;
}
const CLEAN: Seen = { windows: 100, bad: {}, silentMs: 0 };

const readingOf = ({ windows, bad, silentMs }: Seen): StageReading => ({
  evidence: METRICS.map((row) => {
    const x = Math.min(windows, bad[row.name] ?? 0);
    const whole = { x, y: 0, theta: x * 100_000 };
    const segments = x > 0 && row.compared ? [{ segment: 'os:ios 14', ...whole }] : [];
    return { metric: row.name, whole, opened: [windows, 9 * windows], ended: [windows, 9 * windows], segments };
  }),
  restOf: () => ({ x: 0, y: 0, theta: 0 }),
  told: windows,
  active: windows,
  silentMs,
  longestGapMs: 1_000,
});

class Life {
  state: RolloutState = rolloutMachine.initial();
  now = T0;
  owed: number | undefined;
  readonly steps: Step[] = [registered()];
  readonly spec: RolloutSpec;

  constructor(members: Record<string, unknown> = {}) {
    this.spec = evidenceSpecOf('1.1.0', members);
    const { data } = created(1, this.spec).fact as Extract<RolloutFact, { type: 'RolloutCreated' }>;
    this.command({ type: 'create', data, versionState: 'Published' });
    const frozen = { measured: MEASURED, frozen_q: { ios: 40_000 }, accuracy: null };
    this.command({ type: 'start', rolloutId: 1, versionState: 'Published', otherLive: null, frozen, evidence });
  }

  command(command: RolloutCommand): 'facts' | 'already' | 'refused' {
    const decision = decideRollout(this.state, command, this.now);
    if (decision.kind === 'facts') decision.facts.forEach((fact) => this.record(fact));
    return decision.kind;
  }

  private record(fact: RolloutFact): void {
    expect(decode('rollout-1', fact.type, 1, JSON.parse(JSON.stringify(fact.data)))).toMatchObject({ ok: true });
    const version = this.state.version + 1;
    this.state = rolloutMachine.step(this.state, { ...fact, at: this.now, eventId: '', version });
    expect(this.state.divergence).toBeUndefined();
    this.steps.push(onRollout(1, fact.type, fact.data as never, this.now - T0));
    this.owed = undefined;
    this.agrees();
  }

  /** The pointer says of a live rollout what the chart says. */
  private agrees(): void {
    const { state, context } = this.state;
    const shown = pointerOf(this.steps).rollouts[0];
    if (!isLive(state) || context.stage < 0) return;
    expect(shown).toMatchObject({ status: state.toLowerCase(), hold: context.hold, stage: context.stage });
    expect(readClock(shown!.threshold!)).toEqual(context.clock);
  }

  /** As the watcher looks. */
  look(seen: Seen): void {
    const { context } = this.state;
    if (!isLive(this.state.state) || context.regressed) return;
    const looked = lookAtWindows(this.state, readingOf(seen), this.owed ?? context.goodLooksOwed, this.now)!;
    const { judgement } = looked;
    const isNew = saysMore(context.judged, context.proven, judgement);
    const policy = evidencePolicy(this.spec)!;
    expect(recheckEvidence(judgement, { stages: this.spec.stages, evidence: policy }).equal).toBe(true);
    if (isNew) expect(this.command({ type: 'judge', judgement })).toBe('facts');
    this.owed = looked.owed;
  }

  take(): string {
    const step = nextStep(rolloutStanding(this.state), this.now);
    if (step.kind === 'enterStage') this.accepts({ type: 'enterStage', stage: step.stage, evidence });
    if (step.kind === 'complete') this.accepts({ type: 'complete', basis: 'auto', override: false });
    if (step.kind === 'pauseInconclusive') this.accepts({ type: 'pause', cause: 'inconclusive', reason: 'asked' });
    return step.kind;
  }
  private accepts(command: RolloutCommand): void {
    expect(this.command(command)).toBe('facts');
  }

  /** Looks and steps once a second for so long. */
  run(seconds: number, seen: Seen): void {
    for (let i = 0; i < seconds; i += 1) {
      this.now += 1_000;
      this.look(seen);
      this.take();
    }
  }
  get verdict(): string | undefined {
    return this.state.context.judged?.verdict;
  }
}

describe('a life under evidence', () => {
  it('of a small clean fleet ends QUIET stage by stage in the sum of its least bakes, and says so', () => {
    const life = new Life();
    life.run(20, CLEAN);
    expect(life.state).toMatchObject({ state: 'Active', context: { stage: 1, basis: 'quiet' } });
    expect(life.steps.at(-1)!.fact).toMatchObject({ type: 'StageEntered', data: { basis: 'quiet', to: 9_900 } });
    life.run(20, CLEAN);
    expect(life.state).toMatchObject({ state: 'Completed', context: { basis: 'quiet' } });
    expect(life.steps.at(-1)!.fact).toMatchObject({ data: { basis: 'quiet' } });
  });

  it('stands while nobody reports, and goes on after ten good looks, with a fresh bake where that was long', () => {
    const life = new Life();
    life.run(15, CLEAN);
    life.run(40, { ...CLEAN, silentMs: 2_000 });
    expect(life.state).toMatchObject({ state: 'Held', context: { hold: 'untrusted', goodLooksOwed: 10 } });
    expect(clockMs(life.state.context.clock, life.now)).toBe(16_000);
    life.run(9, CLEAN);
    expect(life.state.state).toBe('Held');
    life.run(1, CLEAN);
    expect(life.state).toMatchObject({ state: 'Active', context: { clock: { evidenceStage: 1, ranMs: 10_000 } } });
  });

  it('is held by downloads until they are well again, and by crashes over their limit until a person decides', () => {
    const life = new Life();
    life.run(12, { ...CLEAN, bad: { download: 40 } });
    expect(life.state).toMatchObject({ state: 'Held', context: { hold: 'transfer' } });
    expect(life.command({ type: 'enterStage', stage: 1, evidence })).toBe('refused');
    expect(life.command({ type: 'advance', override: false, evidence })).toBe('refused');
    life.run(1, CLEAN);
    expect(life.state).toMatchObject({ state: 'Active', context: { hold: null } });

    // Canary's crashes and control's alike: G says nothing, and control's own A is below the threshold.
    const limit = new Life({ metrics: { silence: { after: '30s' }, crash: { tolerated: 100 } } });
    limit.run(12, { ...CLEAN, bad: { crash: 12 } });
    expect(limit.state).toMatchObject({ state: 'Held', context: { hold: 'limit' } });
    limit.run(20, CLEAN);
    expect(limit.state).toMatchObject({ state: 'Held', context: { hold: 'limit' } });
    expect(limit.command({ type: 'resume', reason: 'a known fault of the phone' })).toBe('facts');
    expect(limit.state).toMatchObject({ state: 'Active', context: { hold: null, clock: { evidenceStage: 1 } } });
  });

  it('advances a held stage by override only, and that proves nothing', () => {
    const life = new Life();
    life.run(12, { ...CLEAN, bad: { download: 40 } });
    expect(life.command({ type: 'advance', override: true, reason: 'the CDN is mended', evidence })).toBe('facts');
    expect(life.state).toMatchObject({ state: 'Active', context: { stage: 1, hold: null, basis: 'unproven' } });
    life.run(30, CLEAN);
    expect(life.state).toMatchObject({ state: 'Completed', context: { basis: 'unproven' } });
  });

  it.each([
    ['auto', 'Completed', 'Paused'],
    ['advance', 'Completed', 'Completed'],
    ['ask', 'Paused', 'Paused'],
  ])('with if_unproven %s: QUIET ends %s, INCONCLUSIVE %s', (if_unproven, quiet, inconclusive) => {
    const calm = new Life({ if_unproven });
    calm.run(50, CLEAN);
    expect(calm.state.state).toBe(quiet);
    const few = new Life({ if_unproven });
    few.run(70, { ...CLEAN, windows: 5, bad: { errors: 0 } });
    // Five windows of five devices are all there are: quiet; a suspicious one is not.
    const odd = new Life({ if_unproven });
    odd.run(90, { windows: 100, bad: { silence: 5 }, silentMs: 0 });
    expect(odd.state.state).toBe(inconclusive);
  });

  it('is convicted with the segment named, and stays so', () => {
    const life = new Life();
    life.run(5, { ...CLEAN, bad: { crash: 40 } });
    expect(life.state.context.regressed).toMatchObject({ guilt: { metric: 'crash', named: 'os:ios 14' } });
  });

  it('goes on in ways that the chart accepts, whatever is seen and whatever a person does', () => {
    const seen = fc.record({
      windows: fc.constantFrom(0, 5, 100, 4_000),
      bad: fc.dictionary(fc.constantFrom(...MEASURED), fc.nat({ max: 60 }), { maxKeys: 2 }),
      silentMs: fc.constantFrom(0, 0, 0, 60_000),
    });
    const person = fc.constantFrom<RolloutCommand | null>(
      null,
      null,
      null,
      { type: 'pause', cause: 'manual', reason: 'lunch' },
      { type: 'resume' },
      { type: 'advance', override: true, reason: 'now', evidence },
      { type: 'advance', override: false, evidence },
      { type: 'complete', basis: 'manual', override: true, reason: 'now' },
    );
    const event = fc.tuple(fc.integer({ min: 0, max: 45 }), seen, person);
    const members = fc.record({
      if_unproven: fc.constantFrom('auto', 'advance', 'ask'),
      on_regressed: fc.constant('hold'),
    });
    fc.assert(
      fc.property(members, fc.array(event, { maxLength: 12 }), (asked, events) => {
        const life = new Life(asked);
        for (const [seconds, shown, command] of events) {
          life.run(seconds, shown);
          if (command) life.command(command);
        }
        const { regressed } = life.state.context;
        if (regressed) expect(['Held', 'Paused', 'Completed']).toContain(life.state.state);
      }),
      { numRuns: 30 },
    );
  });
});
