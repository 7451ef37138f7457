/** What the planner proposes, the machine accepts: random lives of a run, played against both. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RoundClosedData, RoundOpenedData, TrainingFact, TrainingSpec } from '../domain/events/training.ts';
import { planTraining } from '../domain/learning/plan.ts';
import { trainingSpec } from '../domain/learning/trainingSpec.fixture.ts';
import { currentBase, trainingMachine, type TrainingState } from '../machines/trainingRun.ts';
import { decideTraining, type TrainingCommand } from '../machines/trainingDecision.ts';
import { trainingStanding } from './loadTraining.ts';

const SHA = 'a'.repeat(64);
const spec: TrainingSpec = {
  ...trainingSpec,
  base_version: null,
  init_artifact: SHA,
  new_version: '1.0.0',
  rounds: 3,
  min_updates: 2,
  goal: 4,
  windows: { selection: '1s', report: '10s', extend: '10s' },
  on_quorum_miss: { retry: 2, backoff: ['5s', '30s'] },
  evaluation: { set: SHA },
};

/** A run in memory: its fold, the updates of its open round, and a clock. */
class Life {
  state: TrainingState;
  counted = 0;
  now = Date.parse('2026-01-01T00:00:00.000Z');

  constructor() {
    this.state = trainingMachine.initial();
    const base = { version: null, sha: SHA };
    const data = { source: 'own' as const, spec, spec_sha: SHA, request_sha: SHA, base };
    this.command({ type: 'request', data });
  }

  /** @returns whether the machine accepted it */
  command(command: TrainingCommand): boolean {
    const decision = decideTraining(this.state, command, this.now);
    if (decision.kind !== 'facts') return false;
    decision.facts.forEach((fact) => this.record(fact));
    return true;
  }

  private record(fact: TrainingFact): void {
    if (fact.type === 'RoundOpened') this.counted = 0;
    this.state = trainingMachine.step(this.state, {
      ...fact,
      at: this.now,
      eventId: '',
      version: this.state.version + 1,
    });
    expect(this.state.divergence).toBeUndefined();
  }

  step() {
    return planTraining(trainingStanding(this.state, this.counted, this.now));
  }

  /** Takes the planner's step as the use case would. @returns what was taken, and whether the machine agreed */
  take(): { kind: string; accepted: boolean } {
    const step = this.step();
    const accepted = this.perform(step);
    return { kind: step.kind, accepted };
  }

  private perform(step: ReturnType<typeof planTraining>): boolean {
    const { context } = this.state;
    const round = context.current?.round ?? context.rounds.at(-1)?.round ?? 1;
    const attempt = context.current?.attempt ?? context.rounds.at(-1)?.attempt ?? 1;
    switch (step.kind) {
      case 'open':
        return this.command({ type: 'openRound', data: this.opening(step.round, step.attempt) });
      case 'close':
        return this.command({ type: 'closeRound', data: this.closing('deadline') });
      case 'abandon':
        return this.command({
          type: 'abandonRound',
          data: { round, attempt, reason: step.reason, counted: this.counted, needed: spec.min_updates },
        });
      case 'aggregate':
        return this.command({
          type: 'recordAggregate',
          data: {
            round,
            attempt,
            manifest_sha: SHA,
            model_sha: SHA,
            model_bytes: 1,
            opt_state_sha: null,
            grid: { k: 2, L: 1, q: 40 },
            update_norm: 1,
            samples: 1,
            metrics: { loss: null, accuracy: null, n: 0 },
          },
        });
      case 'evaluate':
        return this.command({
          type: 'recordEvaluation',
          data: { round, attempt, source: 'held_out', set_sha: SHA, n: 1, loss: 1, accuracy: 1, finite: true },
        });
      case 'pause':
        return this.command({ type: 'pause', data: { reason: step.reason, by: 'system' } });
      case 'finish':
        return this.command({ type: 'finish' });
      default:
        return true;
    }
  }

  closing(cause: 'goal' | 'deadline'): RoundClosedData {
    const { round, attempt } = this.state.context.current!;
    const sums = { accepted: this.counted, counted: this.counted, weight_sum: 1, participants: this.counted };
    return { round, attempt, cause, ...sums, accepted_root: SHA, refused: {}, leased: 0, aborted: 0, bytes_up: 0 };
  }

  private opening(round: number, attempt: number): RoundOpenedData {
    const at = (ms: number) => new Date(this.now + ms).toISOString();
    return {
      round,
      attempt,
      base_sha: currentBase(this.state.context),
      base_label: '',
      opt_state_sha: null,
      goal: spec.goal,
      min_updates: spec.min_updates,
      need: 1,
      draw: { threshold: 0, population: 0 },
      opened_at: at(0),
      deadline: at(10_000),
      hard_deadline: at(20_000),
      max_norm: null,
      limit: 1,
    };
  }
}

const happening = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: 'plan' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 12_000 }) }) },
  { weight: 5, arbitrary: fc.constant({ kind: 'upload' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: 'pause' as const }, { kind: 'resume' as const }, { kind: 'stop' as const }),
  },
);

describe('the planner and the machine of a training run', () => {
  it('agree: every step that is proposed is accepted', () => {
    const property = fc.property(fc.array(happening, { maxLength: 80 }), (happenings) => {
      const life = new Life();
      for (const what of happenings) {
        if (what.kind === 'plan') expect(life.take()).toMatchObject({ accepted: true });
        else if (what.kind === 'time') life.now += what.ms;
        else if (what.kind === 'upload') upload(life);
        else if (what.kind === 'pause') life.command({ type: 'pause', data: { reason: 'r', by: 'key_1' } });
        else if (what.kind === 'resume') life.command({ type: 'resume', data: { reason: null, by: 'key_1' } });
        else life.command({ type: 'stop', rule: 'manual', counted: life.counted });
      }
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('end: with uploads the run succeeds in as many rounds as were asked for', () => {
    const life = new Life();
    const kinds: string[] = [];
    for (let i = 0; i < 40 && life.step().kind !== 'done'; i += 1) {
      if (life.step().kind === 'collect') [1, 2, 3, 4].forEach(() => upload(life));
      else kinds.push(life.take().kind);
    }
    expect(life.state.state).toBe('Succeeded');
    expect(kinds).toEqual([...Array(3).fill(['open', 'aggregate', 'evaluate']).flat(), 'finish']);
  });

  it('end: without uploads the run is paused after two attempts', () => {
    const life = new Life();
    const kinds: string[] = [];
    for (let i = 0; i < 40; i += 1) {
      const step = life.step();
      if ('leftMs' in step && step.leftMs !== null) life.now += step.leftMs;
      else if (step.kind === 'wait') break;
      else kinds.push(life.take().kind);
    }
    expect(kinds).toEqual(['open', 'abandon', 'open', 'abandon', 'pause']);
  });
});

/** A device's update: the one that reaches the goal closes the round. */
function upload(life: Life): void {
  if (!life.state.state.includes('collecting')) return;
  life.counted += 1;
  if (life.counted >= spec.goal!) life.command({ type: 'closeRound', data: life.closing('goal') });
}
