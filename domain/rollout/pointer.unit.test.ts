/** Which version each device is told, after every fact that moves it. */
import { asLogIndex } from '../brands.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { armOf } from './arms.ts';
import { bucketOf } from './assignment.ts';
import { assign, thresholdWidth, type Pointer } from './pointer.ts';
import { clockMs, readClock } from './stageClock.ts';
import {
  at,
  completedWith,
  createFold,
  created,
  entered,
  judgementOf,
  MODEL,
  onModel,
  onRollout,
  onVersion,
  pointerOf,
  pointersAlong,
  registered,
  sequenced,
  specOf,
  startedWith,
  type Step,
} from './pointer.fixture.ts';

const listed = (version: string) => onModel('VersionListed', { version });
const devices = Array.from({ length: 400 }, (_, i) => ({
  id: `device-${i}`,
  platform: i % 2 === 0 ? 'ios' : 'android',
}));
const told = (pointer: Pointer, ms: number) => devices.map((d) => assign(pointer, d, at(ms))?.version);
const share = (versions: readonly unknown[], version: string) =>
  versions.filter((v) => v === version).length / versions.length;

/** 1.0.0 is stable through rollout 1; 1.1.0 is on its way in rollout 2. */
const stable: Step[] = [
  registered(),
  listed('1.0.0'),
  created(1, specOf('1.0.0')),
  ...startedWith(1, '1.0.0', 0, 10_000),
  ...completedWith(1, '1.0.0', null, 1_000),
];
const rolling: Step[] = [...stable, listed('1.1.0'), created(2, specOf('1.1.0')), ...startedWith(2, '1.1.0', 100_000)];

describe('who is told what', () => {
  it('is the latest published version only while the model never had a rollout', () => {
    const published = [registered(), listed('1.0.0'), listed('1.2.0'), listed('1.1.0'), listed('2.0.0-beta.1')];
    expect(told(pointerOf(published), 0)).toEqual(devices.map(() => '1.2.0'));
    // Planned is not started.
    expect(told(pointerOf([...published, created(1, specOf('1.1.0'))]), 0)).toEqual(devices.map(() => '1.2.0'));
    const first = pointerOf([...published, created(1, specOf('1.1.0')), ...startedWith(1, '1.1.0', 0)]);
    expect(told(first, 0)).toEqual(devices.map(() => undefined));
    expect(new Set(told(first, 10_000))).toEqual(new Set([undefined, '1.1.0']));
  });

  it('is nothing where nothing is published', () => {
    expect(assign(pointerOf([registered()]), devices[0]!, at(0))).toBeUndefined();
  });

  it('grows along the ramp, and is stable outside', () => {
    const pointer = pointerOf(rolling);
    expect(told(pointer, 100_000)).toEqual(devices.map(() => '1.0.0'));
    expect(share(told(pointer, 110_000), '1.1.0')).toBeCloseTo(0.1, 1);
    const inside = devices.find((d) => bucketOf(MODEL, '2', d.id) < 1000)!;
    const bucket = bucketOf(MODEL, '2', inside.id);
    expect(assign(pointer, inside, at(110_000))).toEqual({ version: '1.1.0', source: 'rollout', rolloutId: 2, bucket });
    const outside = devices.find((d) => bucketOf(MODEL, '2', d.id) >= 1000)!;
    expect(assign(pointer, outside, at(110_000))).toMatchObject({ version: '1.0.0', source: 'default' });
  });

  it('leaves out who is not of the cohort', () => {
    const spec = specOf('1.1.0', { cohort: { platform: ['ios'] } });
    const pointer = pointerOf([...stable, created(2, spec), ...startedWith(2, '1.1.0', 100_000, 10_000)]);
    expect(told(pointer, 110_000)).toEqual(devices.map((d) => (d.platform === 'ios' ? '1.1.0' : '1.0.0')));
    expect(assign(pointer, { id: 'x', platform: null }, at(110_000))?.version).toBe('1.0.0');
  });

  it('keeps each device’s version through a pause, whose clock stands, and goes on where it was', () => {
    const half = [...rolling, onRollout(2, 'RolloutPaused', { cause: 'manual', reason: 'tea' }, 105_000)];
    const paused = pointerOf(half);
    expect(told(paused, 999_000)).toEqual(told(pointerOf(rolling), 105_000));
    const threshold = paused.rollouts[0]!.threshold!;
    expect(clockMs(readClock(threshold), at(999_000).getTime())).toBe(5_000);
    expect(thresholdWidth(threshold, at(999_000))).toBe(250);
    const resumed = pointerOf([...half, onRollout(2, 'RolloutResumed', {}, 500_000)]);
    expect(clockMs(readClock(resumed.rollouts[0]!.threshold!), at(502_000).getTime())).toBe(7_000);
  });

  it('counts an inconclusive stage’s ramp as behind it', () => {
    const pointer = pointerOf([
      ...rolling,
      onRollout(2, 'RolloutPaused', { cause: 'inconclusive', reason: 'few' }, 130_000),
      onRollout(2, 'RolloutResumed', {}, 500_000),
    ]);
    expect(clockMs(readClock(pointer.rollouts[0]!.threshold!), at(501_000).getTime())).toBe(11_000);
  });

  it('lets nobody in by resuming a stage that stopped in the middle of its ramp', () => {
    const halted = [...rolling, onRollout(2, 'RolloutPaused', { cause: 'inconclusive', reason: 'downloads' }, 105_000)];
    const resumed = pointerOf([...halted, onRollout(2, 'RolloutResumed', {}, 500_000)]);
    expect(told(resumed, 500_000)).toEqual(told(pointerOf(halted), 105_000));
    expect(clockMs(readClock(resumed.rollouts[0]!.threshold!), at(501_000).getTime())).toBe(6_000);
  });

  it('is frozen by a conviction under hold, and by that only', () => {
    const spec = specOf('1.1.0', { on_regressed: 'hold' });
    const started = [...stable, created(2, spec), ...startedWith(2, '1.1.0', 100_000)];
    const judged = (verdict: 'PENDING' | 'REGRESSED') =>
      pointerOf([...started, onRollout(2, 'HealthJudged', judgementOf(verdict), 103_000)]);
    expect(judged('PENDING').rollouts[0]).toMatchObject({ status: 'active' });
    expect(judged('REGRESSED').rollouts[0]).toMatchObject({
      status: 'held',
      threshold: { clock_ms: 3_000, clock_since: null },
    });
    expect(told(judged('REGRESSED'), 999_000)).toEqual(told(pointerOf(started), 103_000));
  });

  it('never loses a device from one stage to the next', () => {
    const next = [...rolling, entered(2, 1, 1000, 10_000, 130_000)];
    const before = told(pointerOf(rolling), 129_999);
    for (const ms of [130_000, 131_000, 135_000, 140_000]) {
      const now = told(pointerOf(next), ms);
      before.forEach((version, i) => version === '1.1.0' && expect(now[i]).toBe('1.1.0'));
    }
    expect(new Set(told(pointerOf(next), 140_000))).toEqual(new Set(['1.1.0']));
  });
});

describe('raising a percentage only adds devices', () => {
  it('whatever the widths, times and pauses', () => {
    const percents = fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(
        percents,
        fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 6, maxLength: 6 }),
        (widths, gaps) => {
          const ladder = widths.toSorted((a, b) => a - b);
          const steps = [
            ...stable,
            created(2, specOf('1.1.0')),
            onRollout(2, 'RolloutStarted', { seed: '2', lo: 0 }, 100_000),
          ];
          let ms = 100_000;
          let inside = new Set<string>();
          ladder.forEach((to, stage) => {
            steps.push(entered(2, stage, ladder[stage - 1] ?? 0, to, ms));
            for (const part of [0.3, 1]) {
              const now = at(ms + Math.floor(gaps[stage]! * part));
              const pointer = pointerOf(steps);
              const seen = new Set(
                devices.filter((d) => assign(pointer, d, now)?.source === 'rollout').map((d) => d.id),
              );
              for (const id of inside) expect(seen.has(id)).toBe(true);
              inside = seen;
            }
            ms += gaps[stage]!;
          });
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the facts of one append, seen one by one', () => {
  const versionsAt = (steps: readonly Step[], ms: number, from: number) =>
    pointersAlong(steps)
      .slice(from)
      .map((p) => new Set(told(p, ms)));

  it('complete without a gap', () => {
    const full = [...rolling, entered(2, 1, 1000, 10_000, 130_000)];
    for (const seen of versionsAt([...full, ...completedWith(2, '1.1.0', '1.0.0', 160_000)], 160_000, full.length)) {
      expect(seen).toEqual(new Set(['1.1.0']));
    }
  });

  it('roll back without a gap, at any stage: the mark is for ever', () => {
    const rolledBack = (id: number): Step[] => [
      onRollout(id, 'RolloutRolledBack', { target: '1.0.0', trigger: 'manual', reason: 'r', evidence: null }, 120_000),
      onVersion('1.1.0', 'VersionRolledBack', { rollout_id: id, reason: 'r' }, 120_000),
      onModel(
        'StableVersionRestored',
        { version: '1.0.0', from_version: '1.1.0', rollout_id: id, reason: 'r' },
        120_000,
      ),
    ];
    for (const seen of versionsAt([...rolling, ...rolledBack(2)], 120_000, rolling.length)) {
      expect(seen).toEqual(new Set(['1.0.0']));
    }
    const full = [...rolling, entered(2, 1, 1000, 10_000, 110_000), ...completedWith(2, '1.1.0', '1.0.0', 115_000)];
    for (const seen of versionsAt([...full, ...rolledBack(2)], 120_000, full.length))
      expect(seen).toEqual(new Set(['1.0.0']));

    const after = pointerOf([...full, ...rolledBack(2)]);
    expect(after).toMatchObject({ stable: '1.0.0', latest: null, rolled_back: [], rollouts: [] });
    // Even a fact that would bring it back cannot.
    const again = pointerOf([
      ...full,
      ...rolledBack(2),
      onModel('StableVersionChanged', { version: '1.1.0', previous: '1.0.0', rollout_id: 9 }),
    ]);
    expect(again).toMatchObject({ stable: '1.1.0', rolled_back: ['1.1.0'] });
    expect(told(again, 200_000)).toEqual(devices.map(() => undefined));
    const anew = [...full, ...rolledBack(2), created(3, specOf('1.1.0')), ...startedWith(3, '1.1.0', 130_000, 10_000)];
    expect(told(pointerOf(anew), 200_000)).toEqual(devices.map(() => '1.0.0'));
  });

  it('withdraw a first release: devices are told nothing', () => {
    const first = [registered(), listed('1.0.0'), created(1, specOf('1.0.0')), ...startedWith(1, '1.0.0', 0)];
    const back = [
      onRollout(1, 'RolloutRolledBack', { target: null, trigger: 'verdict', reason: 'r', evidence: null }, 9_000),
      onVersion('1.0.0', 'VersionRolledBack', { rollout_id: 1, reason: 'r' }, 9_000),
    ];
    for (const seen of versionsAt([...first, ...back], 20_000, first.length))
      expect(seen).toEqual(new Set([undefined]));
    const completed = [...first, ...completedWith(1, '1.0.0', null, 5_000)];
    for (const seen of versionsAt([...completed, ...back], 20_000, completed.length))
      expect(seen).toEqual(new Set([undefined]));
    expect(pointerOf([...completed, ...back])).toMatchObject({ stable: null, rolled_back: [] });
  });

  it('abort: back to stable, and after completion to the version put back, or to nothing', () => {
    const aborted = (id: number) => onRollout(id, 'RolloutAborted', { reason: 'r' }, 120_000);
    expect(pointerOf([...rolling, aborted(2)])).toMatchObject({ stable: '1.0.0', rollouts: [], rolled_back: [] });
    const full = [...rolling, ...completedWith(2, '1.1.0', '1.0.0', 115_000), aborted(2)];
    const superseded = (by: string | null) => onVersion('1.1.0', 'VersionSuperseded', { by, rollout_id: 2 }, 120_000);
    expect(pointerOf([...full, superseded('1.0.0')])).toMatchObject({ stable: '1.0.0' });
    // By nothing: only the model's own fact says that nothing is stable.
    expect(pointerOf([...full, superseded(null)])).toMatchObject({ stable: '1.1.0' });
  });
});

describe('the fold', () => {
  it('is undefined before the model, and keeps the object for facts that change nothing', () => {
    const [first, ...rest] = sequenced([listed('1.0.0'), registered()]);
    const fold = createFold();
    expect(fold(first!)).toBeUndefined();
    const pointer = fold(rest[0]!)!;
    const [drafted] = sequenced([
      onVersion('1.0.0', 'VersionPublished', { n: 1, files: [], tensors_sha: '', report_sha: '' }),
    ]);
    expect(fold({ ...drafted!, logIndex: asLogIndex(9) })).toBe(pointer);
  });

  it('keeps a document that does not grow with what a model has listed, released and rolled back', () => {
    const rounds = (n: number) =>
      Array.from({ length: n }, (_, i): Step[] => {
        const [id, version, before] = [i + 10, `1.${i + 2}.0`, `1.${i + 1}.0`];
        const target = { target: before, trigger: 'manual', reason: 'r', evidence: null } as const;
        return [
          listed(version),
          listed(`2.0.0-rc.${i}`),
          created(id, specOf(version)),
          ...startedWith(id, version, 200_000),
          ...completedWith(id, version, before, 210_000),
          ...(i % 2 === 0
            ? [
                onRollout(id, 'RolloutRolledBack', target, 220_000),
                onVersion(version, 'VersionRolledBack', { rollout_id: id, reason: 'r' }, 220_000),
              ]
            : []),
        ];
      }).flat();
    const size = (steps: readonly Step[]) => JSON.stringify(pointerOf(steps)).length;
    expect(size([...rolling, ...rounds(60)])).toBeLessThan(1.2 * size([...rolling, ...rounds(2)]));
    const previews = Array.from({ length: 60 }, (_, i) => listed(`1.0.0-rc.${i}`));
    expect(pointerOf([registered(), ...previews]).previews).toEqual([59, 58, 57, 56].map((i) => `1.0.0-rc.${i}`));
    expect(pointerOf([registered(), ...previews, listed('0.9.0')])).toMatchObject({ previews: [], latest: '0.9.0' });
  });

  it('applies a fact once, and its epoch is the newest fact that changed it', () => {
    const events = sequenced([...rolling, onRollout(2, 'HealthJudged', judgementOf('PENDING'), 101_000)]);
    const [foldOnce, foldTwice] = [createFold(), createFold()];
    let once: Pointer | undefined;
    let twice: Pointer | undefined;
    for (const event of events) {
      once = foldOnce(event);
      foldTwice(event);
      twice = foldTwice(event);
    }
    expect(twice).toEqual(once);
    // Neither DeploymentStarted nor a harmless judgement changes what devices are told.
    expect(once!.epoch).toBe(events.length - 3);
  });
});

describe('which arm a report counts to', () => {
  const pointer = pointerOf(rolling);
  const bucket = (d: { id: string }) => bucketOf(MODEL, '2', d.id);

  it('is canary inside the width of this moment, control outside the whole stage', () => {
    for (const device of devices) {
      const canary = armOf(pointer, device, '1.1.0', at(105_000));
      const control = armOf(pointer, device, '1.0.0', at(105_000));
      expect(canary).toEqual(bucket(device) < 250 ? { rolloutId: 2, stage: 0, arm: 'canary' } : undefined);
      expect(control).toEqual(bucket(device) >= 1000 ? { rolloutId: 2, stage: 0, arm: 'control' } : undefined);
      expect(armOf(pointer, device, '0.9.0', at(105_000))).toBeUndefined();
      expect(armOf(pointer, device, 'latest', at(105_000))).toBeUndefined();
    }
  });

  it('asks for the cohort in both arms', () => {
    const spec = specOf('1.1.0', { cohort: { platform: ['ios'] } });
    const targeted = pointerOf([...stable, created(2, spec), ...startedWith(2, '1.1.0', 100_000)]);
    const android = devices.filter((d) => d.platform === 'android');
    for (const version of ['1.0.0', '1.1.0']) {
      expect(android.map((d) => armOf(targeted, d, version, at(110_000)))).toEqual(android.map(() => undefined));
    }
  });

  it('is none without a live rollout, and still one while it is paused', () => {
    const inside = devices.find((d) => bucket(d) < 200)!;
    expect(armOf(pointerOf(stable), inside, '1.0.0', at(105_000))).toBeUndefined();
    const paused = pointerOf([...rolling, onRollout(2, 'RolloutPaused', { cause: 'manual', reason: 'r' }, 109_000)]);
    expect(armOf(paused, inside, '1.1.0', at(200_000))?.arm).toBe('canary');
  });
});
