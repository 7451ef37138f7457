/** `rollout@1`: every state and command. */
import { describe, expect, it } from 'vitest';
import type { RolloutSpec } from '../domain/events/rollout.ts';
import { cellOf, row, tableOf } from './decisions.fixture.ts';
import { given, judgement, MODEL, NOW, rollout as f, rolloutSpec, sha, T0 } from './facts.fixture.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { rolloutMachine } from './rollout.ts';
import { decideRollout, type RolloutCommand } from './rolloutDecision.ts';

const spec = rolloutSpec([10, 100]);
const once = rolloutSpec([100]);
const begun = (s = spec) => [f.created(s), f.started, f.entered(0), f.judged('HEALTHY')];
const at = (...facts: Parameters<typeof given>[1]) => given(rolloutMachine, facts);

const states = {
  None: at(),
  Pending: at(f.created(spec)),
  Active: at(...begun()),
  Held: at(f.created(rolloutSpec([10, 100], 'hold')), f.started, f.entered(0), f.judged('REGRESSED')),
  Paused: at(...begun(), f.paused),
  Completed: at(...begun(once), f.completed),
  RolledBack: at(...begun(), f.rolledBack),
  Aborted: at(...begun(), f.aborted),
};
const columns = Object.keys(states);
const r = (text: string) => row(columns, text);

const commands: Record<string, RolloutCommand> = {
  create: {
    type: 'create',
    versionState: 'Published',
    data: { model_id: MODEL, version: '1.1.0', previous: null, spec, spec_sha: sha('2') },
  },
  start: { type: 'start', rolloutId: 42, versionState: 'Published', otherLive: null },
  pause: { type: 'pause', cause: 'manual', reason: 'lunch' },
  resume: { type: 'resume' },
  enterStage: { type: 'enterStage', stage: 1 },
  advance: { type: 'advance', override: false },
  judge: { type: 'judge', judgement: judgement('INCONCLUSIVE', { look: 2 }) },
  abort: { type: 'abort', reason: 'changed our mind', isStable: true },
  rollback: {
    type: 'rollback',
    target: '1.0.0',
    trigger: 'manual',
    reason: 'iOS fails',
    evidence: null,
    isStable: true,
  },
  recordRootCause: { type: 'recordRootCause', text: 'a layer iOS 14 does not have' },
};

describe('rollout@1, every state × command', () => {
  it('is the table of docs/design/rollout.md "States and commands"', () => {
    // prettier-ignore
    const expected = {
      //                 None            | Pending           | Active | Held                       | Paused | Completed       | RolledBack | Aborted
      create:          r('✓              |                   |        |                            |        |                 |            |  '),
      start:           r('               | ✓                 | =      | =                          |        |                 |            |  '),
      pause:           r('               |                   | ✓      | ✓                          | =      |                 |            |  '),
      resume:          r('               |                   | =      | state notRegressed         | ✓      |                 |            |  '),
      enterStage:      r('state nextStage healthy | state nextStage healthy | ✓ | state healthy notRegressed | state | state nextStage | state | state'),
      advance:         r('state nextStage | state            | ✓      | state notRegressed         | state  | state nextStage | state      | state'),
      judge:           r('state sameStage | state sameStage  | ✓      | =                          | ✓      | state           | state      | state'),
      abort:           r('               | ✓                 | ✓      | ✓                          | ✓      | ✓               | =          | ='),
      rollback:        r('               |                   | ✓      | ✓                          | ✓      | ✓               | =          |  '),
      recordRootCause: r('               |                   |        |                            |        |                 | ✓          | ✓'),
    };
    expect(tableOf(states, commands, (state, command) => decideRollout(state, command, NOW))).toEqual(expected);
  });
});

describe('guards of rollout@1', () => {
  const decide = (state: ReturnType<typeof at>, command: RolloutCommand, now = NOW) =>
    decideRollout(state, command, now);

  it('start: alone, and a version that may be told', () => {
    const start = { type: 'start', rolloutId: 42, versionState: 'Published', otherLive: null } as const;
    const second = decide(states.Pending, { ...start, otherLive: 41 });
    expect(cellOf(second)).toBe('alone');
    expect(second).toMatchObject({ refusal: { code: 'conflict', more: { rollout_id: 41 } } });
    const both = decide(states.Pending, { ...start, otherLive: 41, versionState: 'Rollback' });
    expect(both).toMatchObject({ refusal: { code: 'guard_refused' } });
    for (const versionState of ['Draft', 'Trained.ready', 'Rollback'] as const) {
      expect(cellOf(decide(states.Pending, { ...start, versionState }))).toBe('published');
    }
    expect(cellOf(decide(states.Pending, { ...start, versionState: 'Deployed.standby' }))).toBe('✓');
  });

  it('steps up wait for the bake, and only a person with a reason may skip it', () => {
    const entered = at(f.created(spec), f.started, f.entered(0));
    const soon = entered.context.enteredAt + 9_999;
    expect(cellOf(decide(entered, { type: 'advance', override: false }, soon))).toBe('minBakeElapsed');
    expect(cellOf(decide(entered, { type: 'advance', override: true }, soon))).toBe('reasonGiven');
    expect(cellOf(decide(entered, { type: 'advance', override: true, reason: 'a demo' }, soon))).toBe('✓');
    expect(cellOf(decide(entered, { type: 'advance', override: false }, soon + 1))).toBe('✓');
    expect(cellOf(decide(entered, { type: 'enterStage', stage: 1 }, soon))).toBe('minBakeElapsed healthy');
  });

  it('the workflow steps up on health alone: pending and inconclusive are no good news', () => {
    const enter = { type: 'enterStage', stage: 1 } as const;
    const stageOf = (verdict: 'PENDING' | 'INCONCLUSIVE' | 'HEALTHY') =>
      at(f.created(spec), f.started, f.entered(0), f.judged(verdict));
    expect(cellOf(decide(stageOf('PENDING'), enter))).toBe('healthy');
    expect(cellOf(decide(stageOf('INCONCLUSIVE'), enter))).toBe('healthy');
    expect(cellOf(decide(stageOf('HEALTHY'), enter))).toBe('✓');
  });

  it('no override passes a regressed verdict', () => {
    const regressed = at(f.created(spec), f.started, f.entered(0), f.judged('REGRESSED'));
    const why = { override: true, reason: 'trust me' };
    expect(cellOf(decide(regressed, { type: 'advance', ...why }))).toBe('notRegressed');
    const last = at(f.created(once), f.started, f.entered(0), f.judged('REGRESSED'));
    expect(cellOf(decide(last, { type: 'complete', basis: 'manual', ...why }))).toBe('notRegressed');
  });

  it('resuming does not pass one either: the ramp would go on', () => {
    const hold = [f.created(rolloutSpec([10, 100], 'hold')), f.started, f.entered(0)];
    const resume = { type: 'resume', reason: 'trust me' } as const;
    expect(cellOf(decide(at(...hold, f.judged('REGRESSED'), f.paused), resume))).toBe('notRegressed');
    expect(cellOf(decide(at(...hold, f.paused, f.judged('REGRESSED')), resume))).toBe('notRegressed');
  });

  it('completing needs the last stage, 100 % of everyone', () => {
    const auto = { type: 'complete', basis: 'auto', override: false } as const;
    expect(cellOf(decide(at(...begun(once)), auto))).toBe('✓');
    expect(cellOf(decide(at(...begun()), auto))).toBe('lastStage');
    expect(cellOf(decide(at(...begun(rolloutSpec([50]))), auto))).toBe('everyone');
    expect(cellOf(decide(at(...begun({ ...once, cohort: { platform: ['ios'] } })), auto))).toBe('everyone');
    expect(cellOf(decide(at(f.created(once), f.started, f.entered(0)), auto))).toBe('healthy');
    expect(decide(states.Completed, auto).kind).toBe('already');
  });

  it('a pre-release is for a cohort, and never becomes stable', () => {
    const rc = { ...once, version: '1.1.0-rc.1' };
    const create = (s: RolloutSpec) =>
      decide(states.None, {
        type: 'create',
        versionState: 'Published',
        data: { model_id: MODEL, version: s.version, previous: null, spec: s, spec_sha: sha('2') },
      });
    expect(cellOf(create(rc))).toBe('cohort');
    expect(cellOf(create({ ...rc, stages: rolloutSpec([50]).stages }))).toBe('cohort');
    expect(cellOf(create({ ...rc, cohort: { platform: ['ios'] } }))).toBe('✓');
    // Of a log that an older build wrote: it neither starts nor completes.
    const start = { type: 'start', rolloutId: 42, versionState: 'Published', otherLive: null } as const;
    expect(cellOf(decide(at(f.created(rc)), start))).toBe('cohort');
    for (const basis of ['auto', 'manual'] as const) {
      const complete = { type: 'complete', basis, override: false } as const;
      expect(cellOf(decide(at(...begun(rc)), complete))).toBe('everyone');
    }
  });

  it('a person completes unjudged only with a reason, which the fact keeps', () => {
    const entered = at(f.created(once), f.started, f.entered(0));
    const now = entered.context.enteredAt;
    const manual = { type: 'complete', basis: 'manual', override: true } as const;
    expect(cellOf(decide(entered, manual, now))).toBe('reasonGiven');
    expect(decide(entered, { ...manual, reason: 'at once' }, now)).toEqual({
      kind: 'facts',
      facts: [{ type: 'RolloutCompleted', data: { basis: 'manual', reason: 'at once' } }],
    });
  });

  it('abort and rollback of a completed rollout need its version to be stable still', () => {
    const back = commands['rollback'] as Extract<RolloutCommand, { type: 'rollback' }>;
    expect(cellOf(decide(states.Completed, { ...back, isStable: false }))).toBe('stillStable');
    expect(cellOf(decide(states.Completed, { type: 'abort', reason: 'no', isStable: false }))).toBe('stillStable');
    expect(cellOf(decide(states.Active, { ...back, isStable: false }))).toBe('✓');
    expect(cellOf(decide(states.Active, { ...back, target: null, noTarget: '1.0.0: rolled back' }))).toBe('target');
  });

  it('a refusal names the states in which the command is legal', () => {
    const refused = decide(states.RolledBack, { type: 'resume' });
    expect(refused.kind === 'refused' && refused.refusal.guards[0]!.how_to_meet).toBe('legal in: Held, Paused');
  });
});

describe('the clock of a stage', () => {
  it('runs in Active only', () => {
    const paused = at(...begun(), f.paused);
    expect(clockMs(paused.context.clock, NOW)).toBe(2 * 20_000);
    const resumed = at(...begun(), f.paused, f.resumed);
    expect(clockMs(resumed.context.clock, T0 + 5 * 20_000)).toBe(2 * 20_000);
    expect(clockMs(resumed.context.clock, T0 + 6 * 20_000)).toBe(3 * 20_000);
  });

  it('begins the bake again after an inconclusive pause, and grows the epoch', () => {
    const inconclusive = { type: 'RolloutPaused', data: { cause: 'inconclusive', reason: 'too few' } } as const;
    const resumed = at(...begun(), inconclusive, f.resumed);
    expect(resumed.context).toMatchObject({ clock: { ranMs: 0 }, judged: null, epoch: 2 });
  });

  it('forgets a look at failing downloads, whoever paused it', () => {
    const manual = { type: 'RolloutPaused', data: { cause: 'manual', reason: 'lunch' } } as const;
    expect(at(...begun(), manual, f.judged('INCONCLUSIVE'), f.resumed).context).toMatchObject({ judged: null });
  });

  it('keeps what was set aside until the next stage', () => {
    const set_aside = { downloads: 10, download_failures: 9 };
    const resumed = [f.paused, { type: 'RolloutResumed', data: { set_aside } }] as const;
    expect(at(...begun(), ...resumed).context.setAside).toEqual(set_aside);
    expect(at(...begun(), ...resumed, f.paused, f.resumed).context.setAside).toEqual(set_aside);
    expect(at(...begun(), ...resumed, f.entered(1, 10_000)).context.setAside).toBeNull();
  });

  it('keeps what it ran of the ramp where an inconclusive pause came in the middle of it', () => {
    const inconclusive = { type: 'RolloutPaused', data: { cause: 'inconclusive', reason: 'downloads fail' } } as const;
    const { data } = f.entered(0) as Extract<ReturnType<typeof f.entered>, { type: 'StageEntered' }>;
    const ramping = (ramp_ms: number) => ({ type: 'StageEntered', data: { ...data, ramp_ms } }) as const;
    const resumed = (ramp_ms: number) => at(f.created(spec), f.started, ramping(ramp_ms), inconclusive, f.resumed);
    expect(resumed(90_000).context).toMatchObject({ clock: { ranMs: 20_000 }, judged: null });
    expect(resumed(15_000).context).toMatchObject({ clock: { ranMs: 15_000 }, judged: null });
  });

  it('begins again with each stage, which forgets the looks before it', () => {
    const second = at(...begun(), f.entered(1, 10_000));
    expect(second.context).toMatchObject({ stage: 1, clock: { ranMs: 0 }, looks: 0, judged: null });
  });
});
