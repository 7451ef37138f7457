/** The keyboard story, as each read model tells it: 1.0.0 is stable, 1.1.0 fails on iOS and is rolled back. */
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { AnyFact } from '../domain/events/streams.ts';
import { rolloutMachine } from '../machines/rollout.ts';
import { sequence } from '../test/properties/history.ts';
import { activity } from './activity/project.ts';
import { catalog } from './catalog/project.ts';
import { listings, models } from './catalog/schema.ts';
import { pointers } from './pointers/project.ts';
import { marks, pointerRows } from './pointers/schema.ts';
import { rollouts } from './rollouts/project.ts';
import { judgements, rolloutRows } from './rollouts/schema.ts';
import { createRows, projectInMemory } from './rows.ts';
import type { Projection } from './table.ts';
import { training } from './training/project.ts';
import { versions } from './versions/project.ts';
import { versionRows } from './versions/schema.ts';

const sha = (digit: string) => digit.repeat(64);
type Told = readonly [stream: string, fact: AnyFact];
const files = [{ format: 'onnx', sha256: sha('a'), bytes: 10, media_type: 'application/octet-stream' }];
const MODEL = 'model-kb';
const on = (version: string) => `version-kb@${version}`;

const registered: Told = [
  MODEL,
  {
    type: 'ModelRegistered',
    data: { org_id: 'o', name: 'keyboard', framework: 'onnx', use_case: 'next word', description: '' },
  },
];
const published = (version: string): Told[] => [
  [on(version), { type: 'VersionDrafted', data: { model_id: 'kb', version, parent: null, contract_digest: null } }],
  [on(version), { type: 'ArtifactUploaded', data: { files } }],
  [on(version), { type: 'PublishRequested', data: { n: 1, formats: ['onnx'] } }],
  [on(version), { type: 'VersionPublished', data: { n: 1, files, tensors_sha: sha('b'), report_sha: sha('c') } }],
  [MODEL, { type: 'VersionListed', data: { version } }],
];
const started = (id: number, version: string): Told[] => [
  [
    `rollout-${id}`,
    {
      type: 'RolloutCreated',
      data: {
        model_id: 'kb',
        version,
        previous: null,
        spec: {
          version,
          stages: [{ percent: 100, ramp: '0s', min_bake: '1m', max_bake: '1h' }],
          look: '1s',
          policy: { rules: [] },
          on_regressed: 'rollback',
        },
        spec_sha: sha('d'),
      },
    },
  ],
  [`rollout-${id}`, { type: 'RolloutStarted', data: { seed: String(id), lo: 0 } }],
  [
    `rollout-${id}`,
    {
      type: 'StageEntered',
      data: { stage: 0, from: 0, to: 10_000, ramp_ms: 0, min_bake_ms: 60_000, max_bake_ms: 3_600_000, basis: 'auto' },
    },
  ],
  [on(version), { type: 'DeploymentStarted', data: { rollout_id: id } }],
];
const completed = (id: number, version: string): Told[] => [
  [`rollout-${id}`, { type: 'RolloutCompleted', data: { basis: 'manual' } }],
  [on(version), { type: 'DeploymentCompleted', data: { rollout_id: id } }],
  [MODEL, { type: 'StableVersionChanged', data: { version, previous: null, rollout_id: id } }],
];
const rolledBack: Told[] = [
  [
    'rollout-2',
    { type: 'RolloutRolledBack', data: { target: '1.0.0', trigger: 'manual', reason: 'iOS 14', evidence: null } },
  ],
  [on('1.1.0'), { type: 'VersionRolledBack', data: { rollout_id: 2, reason: 'iOS 14' } }],
  [
    MODEL,
    {
      type: 'StableVersionRestored',
      data: { version: '1.0.0', from_version: '1.1.0', rollout_id: 2, reason: 'iOS 14' },
    },
  ],
];
const story: Told[] = [
  registered,
  ...published('1.0.0'),
  ...started(1, '1.0.0'),
  ...completed(1, '1.0.0'),
  ...published('1.1.0'),
  ...started(2, '1.1.0'),
  ...rolledBack,
];

/** One fact an append, a minute apart. */
const log = (told: readonly Told[]): SequencedEvent[] =>
  sequence(told.map(([stream, fact], i) => ({ commandId: `c-${i}`, facts: [{ stream, fact }] })));

/** Rows after the facts, and what the database would be told. */
function given(projection: Projection, told: readonly Told[]) {
  const rows = createRows();
  for (const event of log(told)) projectInMemory(projection, event, rows);
  return { rows, writes: rows.take() };
}

describe('catalog', () => {
  it('has the stable version back, and calls the bad one latest no more', () => {
    const before = given(catalog, story.slice(0, -rolledBack.length)).rows;
    expect(before.get(models, 'kb')).toMatchObject({ stable_version: '1.0.0', version_count: 2 });
    expect(before.get(listings, 'kb', '1.1.0')).toMatchObject({ place: 2, latest_rank: [1, 1, 0] });
    const after = given(catalog, story).rows;
    expect(after.get(models, 'kb')).toMatchObject({ stable_version: '1.0.0', version_count: 2 });
    expect(after.get(listings, 'kb', '1.0.0')).toMatchObject({ place: 1, latest_rank: [1, 0, 0] });
    expect(after.get(listings, 'kb', '1.1.0')).toMatchObject({ place: 2, is_rolled_back: true, latest_rank: null });
  });
  it('gives a pre-release no rank, nor one that was rolled back before it was listed', () => {
    const early: Told = [on('2.0.0'), { type: 'VersionRolledBack', data: { rollout_id: 9, reason: 'x' } }];
    const { rows } = given(catalog, [registered, ...published('2.0.0-rc.1'), early, ...published('2.0.0')]);
    expect(rows.get(listings, 'kb', '2.0.0-rc.1')).toMatchObject({ place: 1, latest_rank: null });
    expect(rows.get(listings, 'kb', '2.0.0')).toMatchObject({ place: 2, is_rolled_back: true, latest_rank: null });
    expect(rows.get(models, 'kb')).toMatchObject({ version_count: 2 });
  });
  it('keeps every state, each from the fact that made it', () => {
    const kept = given(catalog, story).writes.get(models)!;
    expect(kept.closes).toEqual([]);
    kept.inserts.slice(0, -1).forEach((row, i) => expect(row.to).toBe(kept.inserts[i + 1]!.from));
    expect(kept.inserts.at(-1)!.to).toBeNull();
  });
  it('refuses a fact about a model that was never registered', () => {
    expect(() => given(catalog, [[MODEL, { type: 'VersionListed', data: { version: '1.0.0' } }]])).toThrow(
      'never registered',
    );
  });
});

describe('versions', () => {
  it('follow the version from draft to rollback', () => {
    const { rows, writes } = given(versions, story);
    expect(rows.get(versionRows, 'kb', '1.0.0')).toMatchObject({ state: 'Deployed.live', rollout_id: 1 });
    expect(rows.get(versionRows, 'kb', '1.1.0')).toMatchObject({
      lifecycle_state: 'Rollback',
      rolled_back: { rollout_id: 2, reason: 'iOS 14' },
      files,
      publication: { n: 1, state: 'published' },
    });
    const states = writes.get(versionRows)!.inserts.filter((i) => i.row['version'] === '1.1.0');
    expect(states.map((i) => i.row['state'])).toEqual([
      'Draft',
      'Trained.ready',
      'Trained.publishing',
      'Published',
      'Deployed.rolling',
      'Rollback',
    ]);
  });
});

describe('rollouts', () => {
  it('stop their clock where they end', () => {
    const { rows } = given(rollouts, story);
    expect(rows.get(rolloutRows, 1)).toMatchObject({ state: 'Completed', clock_ms: 120_000, clock_since: null });
    expect(rows.get(rolloutRows, 2)).toMatchObject({
      state: 'RolledBack',
      rolled_back: { target: '1.0.0', trigger: 'manual' },
    });
  });
  it('keep the clock of their machine where downloads stop a stage in the middle of its ramp', () => {
    const [created, begun, entered] = started(3, '1.1.0') as [Told, Told, Told];
    const fact = (type: string, data: object): Told => ['rollout-3', { type, data } as AnyFact];
    const ramping = fact('StageEntered', { ...entered[1].data, ramp_ms: 3_600_000 });
    const paused = fact('RolloutPaused', { cause: 'inconclusive', reason: 'downloads fail' });
    const told = [created, begun, ramping, paused, fact('RolloutResumed', {})];
    const clock = rolloutMachine.fold(log(told)).context.clock.ranMs;
    expect(clock).toBeGreaterThan(0);
    expect(clock).toBeLessThan(3_600_000);
    expect(given(rollouts, [registered, ...told]).rows.get(rolloutRows, 3)).toMatchObject({
      state: 'Active',
      clock_ms: clock,
    });
  });
  it('keep judgements apart from the row, which only a conviction moves', () => {
    const arm = { devices: 1, predictions: 1, errors: 0, downloads: 0, download_failures: 0, latency: {} };
    const judged = (look: number, verdict: 'HEALTHY' | 'REGRESSED'): Told => [
      'rollout-2',
      {
        type: 'HealthJudged',
        data: {
          stage: 0,
          look,
          verdict,
          algorithm: 'thresholds@1',
          rule: null,
          missing: [],
          counters: { canary: arm, control: arm },
          clock_ms: 1,
          policy_sha: sha('e'),
        },
      },
    ];
    const told = [registered, ...started(2, '1.1.0'), judged(1, 'HEALTHY'), judged(2, 'REGRESSED')];
    const { rows, writes } = given(rollouts, told);
    expect(writes.get(judgements)!.inserts.map((i) => i.row['verdict'])).toEqual(['HEALTHY', 'REGRESSED']);
    expect(rows.get(rolloutRows, 2)).toMatchObject({ is_regressed: true, state: 'Active' });
    expect(writes.get(rolloutRows)!.inserts).toHaveLength(4); // created, started, entered, convicted
  });
});

describe('pointers', () => {
  it('never leave devices without a version, whichever fact of an append they look after', () => {
    const rows = createRows();
    let wasStable = false;
    for (const event of log(story)) {
      projectInMemory(pointers, event, rows);
      const pointer = rows.get(pointerRows, 'kb')?.pointer;
      wasStable ||= pointer?.stable === '1.0.0';
      if (wasStable) expect(pointer?.stable).toBe('1.0.0');
    }
    expect(rows.get(pointerRows, 'kb')?.pointer).toMatchObject({
      stable: '1.0.0',
      rollouts: [],
      rolled_back: [],
    });
    expect(rows.get(marks, 'kb', '1.1.0')).toEqual({ model_id: 'kb', version: '1.1.0' });
  });
  it('know a version that was rolled back, whenever a fact names it again', () => {
    const again: Told = [
      MODEL,
      { type: 'StableVersionChanged', data: { version: '1.1.0', previous: '1.0.0', rollout_id: 9 } },
    ];
    expect(given(pointers, [...story, again]).rows.get(pointerRows, 'kb')?.pointer).toMatchObject({
      stable: '1.1.0',
      rolled_back: ['1.1.0'],
    });
  });
});

describe('activity', () => {
  it('has one row per fact, each with its model', () => {
    const { writes } = given(activity, story);
    const rows = [...writes].find(([table]) => table.name === 'activity')![1].inserts;
    expect(rows.map((r) => r.from)).toEqual(story.map((_, i) => i));
    expect(new Set(rows.map((r) => r.row['model_id']))).toEqual(new Set(['kb']));
  });
  it('refuses a rollout whose first fact is not there', () => {
    expect(() => given(activity, [['rollout-9', { type: 'RolloutResumed', data: {} }]])).toThrow('which model');
  });
});

describe('training', () => {
  it('refuses a run that was never requested, and takes no interest in other streams', () => {
    const aborted: Told = ['training-r', { type: 'TrainingAborted', data: { reason: 'x' } }];
    expect(() => given(training, [aborted])).toThrow('never requested');
    // Of other streams it learns whose each model is, and nothing else.
    expect([...given(training, story).writes.keys()].map((table) => table.name)).toEqual(['model_orgs']);
  });
});
