/**
 * What a fact costs does not grow with what came before it: twice as many facts of one thing make at most twice as many bytes in every
 * table of every read model, and no fact asks for more rows, or larger ones. A new read model is walked with the others; a new kind of
 * long history joins `HISTORIES`.
 */
import { describe, expect, it } from 'vitest';
import type { AnyFact } from '../../domain/events/streams.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { judgementOf, specOf } from '../../domain/rollout/pointer.fixture.ts';
import { projections } from '../../projections/registry.ts';
import { createRows } from '../../projections/rows.ts';
import type { Projection } from '../../projections/table.ts';
import { sequence } from './history.ts';
import { shaOf } from './world.ts';

type Told = readonly [stream: string, fact: AnyFact];
type DataOf<T extends AnyFact['type']> = Extract<AnyFact, { type: T }>['data'];
const on = <T extends AnyFact['type']>(stream: string, type: T, data: DataOf<T>): Told => [
  stream,
  { type, data } as AnyFact, // safe: `data` is that of `type`
];

const registered = on('model-m', 'ModelRegistered', {
  org_id: 'org_local',
  name: 'm',
  framework: 'onnx',
  use_case: '',
  description: '',
});
const versionOf = (i: number) => `1.${i}.0`;
const files = [{ format: 'onnx', sha256: shaOf('f'), bytes: 10, media_type: 'application/octet-stream' }];

function published(i: number): Told[] {
  const version = versionOf(i);
  const stream = `version-m@${version}`;
  return [
    on(stream, 'VersionDrafted', { model_id: 'm', version, parent: null, contract_digest: null }),
    on(stream, 'ArtifactUploaded', { files }),
    on(stream, 'PublishRequested', { n: 1, formats: ['onnx'] }),
    on(stream, 'VersionPublished', { n: 1, files, tensors_sha: shaOf('t'), report_sha: shaOf('r') }),
    on('model-m', 'VersionListed', { version }),
  ];
}

function started(i: number): Told[] {
  const version = versionOf(i);
  const [stream, data] = [`rollout-${i}`, { model_id: 'm', version, previous: null, spec: specOf(version) }];
  const stage = { stage: 0, from: 0, to: 1_000, ramp_ms: 1, min_bake_ms: 1, max_bake_ms: 2, basis: 'auto' } as const;
  return [
    on(stream, 'RolloutCreated', { ...data, spec_sha: shaOf('s') }),
    on(stream, 'RolloutStarted', { seed: `${i}`, lo: 0 }),
    on(stream, 'StageEntered', stage),
    on(`version-m@${version}`, 'DeploymentStarted', { rollout_id: i }),
  ];
}

/** Completed, superseded by the next; every third is rolled back after its completion. */
function released(i: number): Told[] {
  const [version, before] = [versionOf(i), versionOf(i - 1)];
  const back = { version: before, from_version: version, rollout_id: i, reason: 'r' };
  return [
    ...published(i),
    ...started(i),
    on(`rollout-${i}`, 'RolloutCompleted', { basis: 'auto' }),
    on(`version-m@${version}`, 'DeploymentCompleted', { rollout_id: i }),
    on('model-m', 'StableVersionChanged', { version, previous: before, rollout_id: i }),
    ...(i % 3 > 0
      ? []
      : [
          on(`rollout-${i}`, 'RolloutRolledBack', { target: before, trigger: 'manual', reason: 'r', evidence: null }),
          on(`version-m@${version}`, 'VersionRolledBack', { rollout_id: i, reason: 'r' }),
          on('model-m', 'StableVersionRestored', back),
          on(`rollout-${i}`, 'RootCauseRecorded', { text: 'x' }),
        ]),
  ];
}

const round = (i: number): Told[] => [
  on('training-t', 'RoundAbandoned', { round: 1, attempt: i, reason: 'quorum_miss', counted: 1, needed: 2 }),
];
const requested = on('training-t', 'TrainingRequested', {
  source: 'own',
  spec: { model_id: 'm', new_version: versionOf(1), rounds: 9 },
  spec_sha: shaOf('s'),
  request_sha: shaOf('q'),
  base: { version: null, sha: shaOf('b') },
} as DataOf<'TrainingRequested'>);

const rolling = [registered, ...published(1), ...started(1)];
const rolledBack = { target: null, trigger: 'manual', reason: 'r', evidence: null } as const;

/** By what there is much of: how it begins, and one more of it. */
const HISTORIES: Readonly<Record<string, readonly [readonly Told[], (i: number) => Told[]]>> = {
  'versions listed': [[registered], (i) => [on('model-m', 'VersionListed', { version: versionOf(i) })]],
  'pre-releases listed': [[registered], (i) => [on('model-m', 'VersionListed', { version: `1.0.0-rc.${i}` })]],
  'versions released': [[registered, ...published(0)], (i) => released(i)],
  'rollouts planned': [rolling, (i) => [started(i + 1)[0]!, on(`rollout-${i + 1}`, 'RolloutAborted', { reason: 'r' })]],
  'judgements of a rollout': [rolling, (i) => [on('rollout-1', 'HealthJudged', judgementOf('PENDING', { look: i }))]],
  'pauses of a rollout': [
    rolling,
    () => [on('rollout-1', 'RolloutPaused', { cause: 'manual', reason: 'r' }), on('rollout-1', 'RolloutResumed', {})],
  ],
  'root causes of a rollout': [
    [...rolling, on('rollout-1', 'RolloutRolledBack', rolledBack)],
    (i) => [on('rollout-1', 'RootCauseRecorded', { text: `because ${i}` })],
  ],
  'publications of a version': [
    [registered, ...published(1).slice(0, 2)],
    (n) => [
      on('version-m@1.1.0', 'PublishRequested', { n, formats: ['onnx'] }),
      on('version-m@1.1.0', 'PublishRefused', { n, code: 'gate_failed', checks: [] }),
    ],
  ],
  'rounds of a run': [[registered, requested], round],
  'runs of a model': [
    [registered],
    (i) => [[`training-t${i}`, requested[1]], on(`training-t${i}`, 'TrainingAborted', { reason: 'r' })],
  ],
};

interface Cost {
  /** Bytes of JSON of the rows written, by table. */
  readonly bytes: ReadonlyMap<string, number>;
  /** The most that one of the last facts asked for: rows, and their bytes. */
  readonly rows: number;
  readonly rowBytes: number;
}

const bytesOf = (value: unknown) => (value === undefined ? 0 : JSON.stringify(value).length);

function costOf(projection: Projection, events: readonly SequencedEvent[]): Cost {
  const rows = createRows();
  const bytes = new Map<string, number>();
  let [most, mostBytes] = [0, 0];
  for (const event of events) {
    for (let missing = rows.missing(projection.needs(event, rows)); missing.length > 0;) {
      for (const { table, key } of missing) rows.remember(table, key, undefined, -1);
      missing = rows.missing(projection.needs(event, rows));
    }
    const needs = projection.needs(event, rows);
    if (event.logIndex >= events.length - 40) {
      most = Math.max(most, needs.length);
      mostBytes = Math.max(mostBytes, ...needs.map(({ table, key }) => bytesOf(rows.get(table, ...key))));
    }
    const changes = projection.project(event, rows);
    for (const change of changes) {
      const written = bytesOf(change.kind === 'del' ? undefined : change.row);
      bytes.set(change.table.name, (bytes.get(change.table.name) ?? 0) + written);
    }
    rows.apply(changes, event.logIndex);
  }
  return { bytes, rows: most, rowBytes: mostBytes };
}

const historyOf = ([begin, more]: readonly [readonly Told[], (i: number) => Told[]], n: number) =>
  sequence(
    [...begin, ...Array.from({ length: n }, (_, i) => more(i + 1)).flat()].map(([stream, fact], i) => ({
      commandId: `c-${i}`,
      facts: [{ stream, fact }],
    })),
  );

const N = 300;

describe.each(projections.map((p) => [p.name, p] as const))('%s', (_name, projection) => {
  it.each(Object.keys(HISTORIES))('grows with the number of %s, not with its square', (name) => {
    const once = costOf(projection, historyOf(HISTORIES[name]!, N));
    const twice = costOf(projection, historyOf(HISTORIES[name]!, 2 * N));
    for (const [table, bytes] of twice.bytes) {
      const growth = bytes / (once.bytes.get(table) ?? 0);
      expect(growth, `${table} grows ${growth.toFixed(2)} times`).toBeLessThan(2.2);
    }
    expect(twice.rows).toBe(once.rows);
    expect(twice.rowBytes).toBeLessThan(1.1 * once.rowBytes + 20);
  });
});
