/** The draft of a post-mortem from log and counters. */
import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../events/envelope.ts';
import type { ModelFact } from '../events/model.ts';
import type { RolloutFact } from '../events/rollout.ts';
import type { Cell } from './counters.ts';
import {
  created,
  emptyArm,
  entered,
  evidenceOf,
  evidenceSpecOf,
  judgementOf,
  MODEL,
  onModel,
  onRollout,
  registered,
  sequenced,
  specOf,
  type Step,
} from './pointer.fixture.ts';
import { postMortem } from './postMortem.ts';
import { renderMarkdown } from './postMortemText.ts';

const MINUTE = 60_000;
const rule = { index: 0, metric: 'error_rate', numerator: 60, denominator: 400, limit: 0.05, op: '>' };
const convicted = judgementOf('REGRESSED', { stage: 1, rule });

/** The keyboard story: 1.1.0 fails on iOS once the stage is 25 %. */
const story: Step[] = [
  registered(),
  onModel('StableVersionChanged', { version: '1.0.0', previous: null, rollout_id: 1 }, 0),
  created(2, specOf('1.1.0'), MINUTE),
  onRollout(2, 'RolloutStarted', { seed: '2', lo: 0 }, 2 * MINUTE),
  entered(2, 0, 0, 1000, 2 * MINUTE),
  onRollout(2, 'HealthJudged', judgementOf('HEALTHY'), 12 * MINUTE),
  entered(2, 1, 1000, 2500, 12 * MINUTE),
  onRollout(2, 'HealthJudged', convicted, 15 * MINUTE),
  onRollout(
    2,
    'RolloutRolledBack',
    { target: '1.0.0', trigger: 'verdict', reason: 'error_rate', evidence: convicted },
    15 * MINUTE,
  ),
  onModel(
    'StableVersionRestored',
    { version: '1.0.0', from_version: '1.1.0', rollout_id: 2, reason: 'r' },
    15 * MINUTE,
  ),
  onRollout(2, 'RootCauseRecorded', { text: 'A tokenizer | of another <age>.' }, 90 * MINUTE),
];

const leaf = (stage: number, arm: Cell['arm'], platform: string, osMajor: string, numbers: readonly number[]): Cell => {
  const [devices = 0, predictions = 0, errors = 0] = numbers;
  return { stage, arm, platform, osMajor, counters: { ...emptyArm, devices, predictions, errors } };
};
const leaves: Cell[] = [
  leaf(0, 'canary', 'ios', '17', [8, 100, 1]),
  leaf(0, 'canary', 'android', '14', [9, 100, 1]),
  leaf(1, 'canary', 'ios', '17', [20, 100, 50]),
  leaf(1, 'canary', 'ios', '18', [5, 100, 8]),
  leaf(1, 'canary', 'android', '14', [22, 200, 2]),
  leaf(1, 'control', 'ios', '17', [60, 300, 3]),
  leaf(1, 'control', 'android', '14', [66, 600, 9]),
];

const draftOf = (steps: readonly Step[], counted: readonly Cell[] = leaves, devices = { told: 50, outstanding: 3 }) => {
  const events = sequenced(steps);
  return postMortem({
    rolloutId: 2,
    // Safe: a stream holds facts of its kind only.
    events: events.filter((e) => e.stream === 'rollout-2') as StoredEvent<RolloutFact>[],
    modelEvents: events.filter((e) => e.stream === `model-${MODEL}`) as StoredEvent<ModelFact>[],
    leaves: counted,
    devices,
  });
};

describe('the draft', () => {
  const draft = draftOf(story);

  it('tells what happened, in order, with facts of the model about this rollout only', () => {
    expect(draft).toMatchObject({ version: '1.1.0', target: '1.0.0', outcome: 'rolled_back', model: 'm' });
    expect(draft.timeline.map((t) => t.type)).toEqual([
      'RolloutCreated',
      'RolloutStarted',
      'StageEntered',
      'HealthJudged',
      'StageEntered',
      'HealthJudged',
      'RolloutRolledBack',
      'StableVersionRestored',
      'RootCauseRecorded',
    ]);
    expect(draft.timeline[4]!.text).toBe('stage 1 entered: 25 %, ramp 10s, bake 10s–20s');
    expect(draft.timeline[5]!.text).toBe('stage 1 judged REGRESSED: error_rate 60/400 = 0.15 > 0.05');
  });

  it('bounds the exposure from above', () => {
    expect(draft.exposure.stages).toEqual([
      { stage: 0, percent: 10, devices: 17, minutes: 10 },
      { stage: 1, percent: 25, devices: 47, minutes: 3 },
    ]);
    expect(draft.exposure).toMatchObject({ devices: 47, device_minutes: 17 * 10 + 47 * 3 });
    expect(draft.devices).toEqual({ told: 50, outstanding: 3, back: 47 });
  });

  it('gives the trigger with its integers', () => {
    expect(draft.trigger).toMatchObject({
      kind: 'verdict',
      stage: 1,
      rule: { numerator: 60, denominator: 400, value: 0.15 },
    });
    expect(draft.root_cause?.text).toContain('tokenizer');
  });

  it('ranks segments by what control does not explain', () => {
    // ios: 1 + (58 − 3 · 2500/7500); android: 1 + (2 − 9 · 2500/7500).
    expect(draft.segments.map((s) => [s.value, s.excess])).toEqual([
      ['ios', 58],
      ['ios 17', 50],
      ['ios 18', 8],
      ['android', 0],
    ]);
    expect(draft.segments[0]).toMatchObject({ bad: 59, total: 300, control_bad: 3, devices: 25 });
  });

  it('is the same whenever it is made', () => {
    expect(draftOf(story)).toEqual(draft);
  });

  it('has no trigger and no root cause where there is none', () => {
    const running = draftOf(story.slice(0, 6), []);
    expect(running).toMatchObject({ outcome: 'running', trigger: null, root_cause: null, segments: [], target: null });
    const planned = draftOf(story.slice(0, 3), []);
    expect(planned.exposure).toEqual({
      from: null,
      to: null,
      stages: [],
      completed: null,
      devices: 0,
      device_minutes: 0,
    });
  });

  it('names the person where one stopped it', () => {
    const aborted = draftOf([...story.slice(0, 6), onRollout(2, 'RolloutAborted', { reason: 'a hunch' }, 13 * MINUTE)]);
    expect(aborted).toMatchObject({
      outcome: 'aborted',
      trigger: { kind: 'manual', actor: 'system test', reason: 'a hunch' },
    });
  });

  it('takes no rule for the trigger of a person, and ranks segments as if there had been none', () => {
    const downloads = {
      index: 0,
      metric: 'download_failure_rate',
      numerator: 37,
      denominator: 49,
      limit: 0.1,
      op: '>',
    };
    const paused = [
      ...story.slice(0, 7),
      onRollout(2, 'HealthJudged', judgementOf('INCONCLUSIVE', { rule: downloads }), 60 * MINUTE),
      onRollout(2, 'RolloutPaused', { cause: 'inconclusive', reason: 'downloads fail' }, 60 * MINUTE),
    ];
    const end = { target: '1.0.0', trigger: 'manual', reason: 'iOS fails', evidence: null } as const;
    const rolledBack = draftOf([...paused, onRollout(2, 'RolloutRolledBack', end, 2400 * MINUTE)]);
    expect(rolledBack.trigger).toEqual({
      kind: 'manual',
      actor: 'system test',
      reason: 'iOS fails',
      stage: null,
      rule: null,
    });
    expect(rolledBack.segments).toEqual(draftOf(story).segments);
    const aborted = draftOf([...paused, onRollout(2, 'RolloutAborted', { reason: 'a hunch' }, 2400 * MINUTE)]);
    expect(aborted.trigger).toMatchObject({ kind: 'manual', stage: null, rule: null });
    expect(draftOf(paused).trigger).toMatchObject({ kind: 'verdict', rule: downloads });
  });
});

describe('the exposure of a completed rollout', () => {
  /** All at once, as an SDK asks for it: no stage sees a report. */
  const completed: Step[] = [
    registered(),
    created(2, specOf('1.1.0'), 0),
    onRollout(2, 'RolloutStarted', { seed: '2', lo: 0 }, 0),
    entered(2, 0, 0, 10_000, 0),
    onRollout(2, 'RolloutCompleted', { basis: 'manual' }, 2 * MINUTE),
  ];
  const end = { target: '1.0.0', trigger: 'manual', reason: 'bad', evidence: null } as const;
  const withdrawn = [...completed, onRollout(2, 'RolloutRolledBack', end, 62 * MINUTE)];
  const told = { told: 50_000, outstanding: 40_000 };

  it('is of every device that was told, from completion to the end', () => {
    const draft = draftOf(withdrawn, [], told);
    expect(draft.exposure).toMatchObject({
      stages: [{ stage: 0, percent: 100, devices: 0, minutes: 2 }],
      completed: { devices: 50_000, minutes: 60 },
      devices: 50_000,
      device_minutes: 50_000 * 60,
    });
    const text = renderMarkdown(draft);
    expect(text).toContain(
      'At most 50000 devices were told it or reported in a stage: 3000000 device-minutes at most, from',
    );
    expect(text).toContain('| completed | 100 % | 50000 | 60 |');
    expect(text).toContain('10000 of 50000 devices');
  });

  it('is never of fewer devices than a stage saw, and adds up with the stages', () => {
    const few = draftOf(withdrawn, [leaf(0, 'canary', 'ios', '17', [70, 1, 0])]);
    expect(few.exposure).toMatchObject({ devices: 70, device_minutes: 70 * 2 + 70 * 60 });
    const aborted = draftOf([...completed, onRollout(2, 'RolloutAborted', { reason: 'r' }, 32 * MINUTE)], [], told);
    expect(aborted.exposure).toMatchObject({ devices: 50_000, device_minutes: 50_000 * 30 });
  });

  it('says what it does not count where the version was not withdrawn', () => {
    const draft = draftOf(completed, [], told);
    expect(draft.exposure).toMatchObject({ completed: { minutes: 0 }, devices: 50_000, device_minutes: 0 });
    expect(renderMarkdown(draft)).toContain('It was not withdrawn: what came later is not counted.');
    expect(renderMarkdown(draftOf(withdrawn, [], told))).not.toContain('not counted');
  });
});

describe('its Markdown', () => {
  it('says it all, and keeps what people wrote from becoming markup', () => {
    const text = renderMarkdown(draftOf(story));
    expect(text).toContain('# Post-mortem: m 1.1.0, rollout 2');
    expect(text).toContain('The rollout was rolled back to 1.0.0.');
    expect(text).toContain('error_rate 60/400 = 0.15 > 0.05');
    expect(text).toContain('| ios | 59 of 300 | 3 of 300 | 58 | ████████████████████ |');
    expect(text).toContain('47 of 50 devices');
    expect(text).toContain('A tokenizer | of another &lt;age>.');
    const rows = text.split('\n').filter((line) => line.startsWith('| 2026-'));
    expect(rows).toHaveLength(9);
  });

  it('has words for nothing', () => {
    const text = renderMarkdown(draftOf(story.slice(0, 3), []));
    expect(text).toContain('The rollout is still running.');
    expect(text).toContain('No device was told the version.');
    expect(text).toContain('Not recorded yet.');
  });
});

describe('a conviction by evidence', () => {
  const segment = { metric: 'crash', segment: 'os:ios 14', x: 9, y: 2, theta: 1_100_000, ln_g: 12_345_678 };
  const judged = evidenceOf('REGRESSED', {
    stage: 0,
    clock_ms: 7_200_000,
    threshold: 9_126_959,
    guilt: { metric: 'crash', by: 'G', named: 'os:ios 14', rest: { segment: 'os:ios 14', x: 0, y: 3, theta: 300_000 } },
    metrics: [
      {
        ...{ metric: 'crash', x: 9, y: 5, theta: 1_400_000, opened: [212, 1_900], ended: [9, 5] },
        ...{ ln_g: 10_000_000, ln_a: 5_000_000, ln_a_control: -1_000_000 },
      },
    ],
    segments: [segment, { ...segment, segment: 'platform:ios', y: 4, ln_g: 9_500_000 }],
  });
  const fixed = {
    ...{ has_control: true, segments: ['os:ios 14'], expected: [200, 1_800] as [number, number], can_prove: false },
    convicts: { crash: 5 },
  };
  const steps: Step[] = [
    registered(),
    created(2, evidenceSpecOf('1.1.0'), 0),
    onRollout(2, 'RolloutStarted', { seed: '2', lo: 0 }, 0),
    onRollout(
      2,
      'StageEntered',
      { stage: 0, from: 0, to: 1000, ramp_ms: 0, min_bake_ms: 1, max_bake_ms: 2, basis: 'auto', evidence: fixed },
      0,
    ),
    onRollout(2, 'HealthJudged', judged, MINUTE),
    onRollout(2, 'RolloutRolledBack', { target: null, trigger: 'verdict', reason: 'r', evidence: judged }, MINUTE),
  ];

  it('names the segment first, with its numbers, its window and what pre-flight had promised', () => {
    const draft = draftOf(steps, []);
    expect(draft.trigger).toMatchObject({
      rule: null,
      evidence: {
        metric: 'crash',
        named: 'os:ios 14',
        canary_bad: 9,
        control_bad: 2,
        canary: 212,
        control: 1_900,
        log: 12.345678,
        promised: 5,
        clock_ms: 7_200_000,
      },
    });
    const text = renderMarkdown(draft);
    const at = (part: string) => text.indexOf(part);
    expect(text).toContain('**os:ios 14**: crash was bad on 9 canary devices and 2 control devices.');
    expect(text).toContain('after 2h of its clock, 212 canary and 1900 control devices were watched');
    expect(text).toContain('from 5 times control on');
    expect(at('**os:ios 14**')).toBeLessThan(at('from 5 times'));
    expect(at('from 5 times')).toBeLessThan(at('| platform:ios |'));
  });
});
