/** The draft of a post-mortem from log and counters. */
import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../events/envelope.ts';
import type { ModelFact } from '../events/model.ts';
import type { RolloutFact } from '../events/rollout.ts';
import type { Leaf } from './counters.ts';
import {
  created,
  emptyArm,
  entered,
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

/** The keyboard story: 1.1.0 fails on iOS once the stage is 25 %. */
const story: Step[] = [
  registered(),
  onModel('StableVersionChanged', { version: '1.0.0', previous: null, rollout_id: 1 }, 0),
  created(2, specOf('1.1.0'), MINUTE),
  onRollout(2, 'RolloutStarted', { seed: '2', lo: 0 }, 2 * MINUTE),
  entered(2, 0, 0, 1000, 2 * MINUTE),
  onRollout(2, 'HealthJudged', judgementOf('HEALTHY'), 12 * MINUTE),
  entered(2, 1, 1000, 2500, 12 * MINUTE),
  onRollout(2, 'HealthJudged', judgementOf('REGRESSED', { stage: 1, rule }), 15 * MINUTE),
  onRollout(
    2,
    'RolloutRolledBack',
    { target: '1.0.0', trigger: 'verdict', reason: 'error_rate', evidence: null },
    15 * MINUTE,
  ),
  onModel(
    'StableVersionRestored',
    { version: '1.0.0', from_version: '1.1.0', rollout_id: 2, reason: 'r' },
    15 * MINUTE,
  ),
  onRollout(2, 'RootCauseRecorded', { text: 'A tokenizer | of another <age>.' }, 90 * MINUTE),
];

const leaf = (stage: number, arm: Leaf['arm'], platform: string, osMajor: string, numbers: readonly number[]): Leaf => {
  const [devices = 0, predictions = 0, errors = 0] = numbers;
  return { stage, arm, platform, osMajor, counters: { ...emptyArm, devices, predictions, errors } };
};
const leaves: Leaf[] = [
  leaf(0, 'canary', 'ios', '17', [8, 100, 1]),
  leaf(0, 'canary', 'android', '14', [9, 100, 1]),
  leaf(1, 'canary', 'ios', '17', [20, 100, 50]),
  leaf(1, 'canary', 'ios', '18', [5, 100, 8]),
  leaf(1, 'canary', 'android', '14', [22, 200, 2]),
  leaf(1, 'control', 'ios', '17', [60, 300, 3]),
  leaf(1, 'control', 'android', '14', [66, 600, 9]),
];

const draftOf = (steps: readonly Step[], counted: readonly Leaf[] = leaves) => {
  const events = sequenced(steps);
  return postMortem({
    rolloutId: 2,
    // Safe: a stream holds facts of its kind only.
    events: events.filter((e) => e.stream === 'rollout-2') as StoredEvent<RolloutFact>[],
    modelEvents: events.filter((e) => e.stream === `model-${MODEL}`) as StoredEvent<ModelFact>[],
    leaves: counted,
    devices: { told: 50, outstanding: 3 },
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
    expect(planned.exposure).toEqual({ from: null, to: null, stages: [], devices: 0, device_minutes: 0 });
  });

  it('names the person where one stopped it', () => {
    const aborted = draftOf([...story.slice(0, 6), onRollout(2, 'RolloutAborted', { reason: 'a hunch' }, 13 * MINUTE)]);
    expect(aborted).toMatchObject({
      outcome: 'aborted',
      trigger: { kind: 'manual', actor: 'system test', reason: 'a hunch' },
    });
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
