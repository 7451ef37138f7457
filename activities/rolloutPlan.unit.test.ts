/** What plan and judge of a rollout propose, the machine accepts: random lives, played against both. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ArmCounters, RolloutFact, RolloutSpec } from '../domain/events/rollout.ts';
import { nextStep } from '../domain/rollout/plan.ts';
import { isLive, rolloutMachine, type RolloutState } from '../machines/rollout.ts';
import { decideRollout, type RolloutCommand } from '../machines/rolloutDecision.ts';
import { lookAt, rolloutStanding } from './rolloutStanding.ts';

const stage = (percent: number) => ({ percent, ramp: '1s', min_bake: '10s', max_bake: '20s' });
const spec: RolloutSpec = {
  version: '1.1.0',
  stages: [stage(10), stage(50), stage(100)],
  look: '1s',
  policy: { rules: [{ metric: 'error_rate', op: '>', value: 0.05, min_predictions: 10, min_devices: 2 }] },
  on_regressed: 'hold',
};
const none: ArmCounters = { devices: 0, predictions: 0, errors: 0, downloads: 0, download_failures: 0, latency: {} };

class Life {
  state: RolloutState = rolloutMachine.initial();
  now = Date.parse('2026-01-01T00:00:00.000Z');
  canary = none;

  constructor() {
    const data = { model_id: 'm', version: '1.1.0', previous: '1.0.0', spec, spec_sha: 'a'.repeat(64) };
    this.command({ type: 'create', data, versionState: 'Published' });
    this.command({ type: 'start', rolloutId: 1, versionState: 'Published', otherLive: null });
  }

  command(command: RolloutCommand): 'facts' | 'already' | 'refused' {
    const decision = decideRollout(this.state, command, this.now);
    if (decision.kind === 'facts') decision.facts.forEach((fact) => this.record(fact));
    return decision.kind;
  }

  private record(fact: RolloutFact): void {
    const version = this.state.version + 1;
    this.state = rolloutMachine.step(this.state, { ...fact, at: this.now, eventId: '', version });
    expect(this.state.divergence).toBeUndefined();
    if (fact.type === 'StageEntered') this.canary = none;
  }

  /** One look, as the watcher makes it. */
  look(): void {
    if (!isLive(this.state.state) || this.state.context.regressed) return;
    const judgement = lookAt(this.state, { canary: this.canary, control: none }, this.now)!;
    if (judgement.verdict === (this.state.context.judged?.verdict ?? 'PENDING')) return;
    expect(this.command({ type: 'judge', judgement })).toBe('facts');
  }

  take(): string {
    const step = nextStep(rolloutStanding(this.state), this.now);
    const { context } = this.state;
    if (step.kind === 'enterStage') expect(this.command({ type: 'enterStage', stage: step.stage })).toBe('facts');
    if (step.kind === 'complete') {
      expect(this.command({ type: 'complete', basis: 'auto', override: false })).toBe('facts');
    }
    if (step.kind === 'pauseInconclusive') {
      const pause = { type: 'pause' as const, cause: 'inconclusive' as const, reason: `stage ${context.stage}` };
      expect(this.command({ ...pause, missing: step.missing })).toBe('facts');
    }
    return step.kind;
  }

  report(predictions: number, errors: number): void {
    const { canary: c } = this;
    this.canary = { ...c, devices: c.devices + 1, predictions: c.predictions + predictions, errors: c.errors + errors };
  }
}

const happening = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'plan' as const }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'look' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 9_000 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('report' as const), errors: fc.constantFrom(0, 0, 0, 0, 6) }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'pause' as const }, { kind: 'resume' as const }) },
);

describe('plan, judge and machine of a rollout', () => {
  it('agree: every step that is proposed is accepted', () => {
    const property = fc.property(fc.array(happening, { maxLength: 120 }), (happenings) => {
      const life = new Life();
      for (const what of happenings) {
        if (what.kind === 'plan') life.take();
        else if (what.kind === 'look') life.look();
        else if (what.kind === 'time') life.now += what.ms;
        else if (what.kind === 'report') life.report(6, what.errors);
        else if (what.kind === 'pause') life.command({ type: 'pause', cause: 'manual', reason: 'r' });
        else life.command({ type: 'resume' });
      }
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('complete a healthy rollout, stage after stage', () => {
    const life = new Life();
    for (let i = 0; i < 60 && isLive(life.state.state); i += 1) {
      life.report(10, 0);
      life.now += 4_000;
      life.look();
      life.take();
    }
    expect(life.state.state).toBe('Completed');
  });

  it('pause a rollout of which nothing is heard', () => {
    const life = new Life();
    for (let i = 0; i < 20 && life.state.state === 'Active'; i += 1) {
      life.now += 4_000;
      life.look();
      life.take();
    }
    expect(life.state.state).toBe('Paused');
    expect(life.state.context.paused?.cause).toBe('inconclusive');
  });
});
