/** Laws of every read model, over random legal histories. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import type { TrainingStateName } from '../../domain/states.ts';
import { latestOf } from '../../domain/semver.ts';
import { createFold } from '../../domain/rollout/pointer.fixture.ts';
import type { Pointer } from '../../domain/rollout/pointer.ts';
import { pointerModel } from '../../domain/rollout/pointerFold.ts';
import { createMemory, remembered } from '../../domain/rollout/pointerMemory.ts';
import type { ModelContext } from '../../machines/model.ts';
import type { VersionContext } from '../../machines/modelVersion.ts';
import { machineFor } from '../../machines/registry.ts';
import type { RolloutContext } from '../../machines/rollout.ts';
import type { Folded } from '../../machines/fold.ts';
import { runStatus, type TrainingContext } from '../../machines/trainingRun.ts';
import { listings, models } from '../../projections/catalog/schema.ts';
import { pointerRows } from '../../projections/pointers/schema.ts';
import { projections } from '../../projections/registry.ts';
import { rolloutRows } from '../../projections/rollouts/schema.ts';
import { createRows, projectInMemory, type BatchRows, type Row } from '../../projections/rows.ts';
import type { Projection } from '../../projections/table.ts';
import { runs } from '../../projections/training/schema.ts';
import { versionRows } from '../../projections/versions/schema.ts';
import { historyOf, sequence } from './history.ts';

const moves = fc.array(fc.nat(100_000), { minLength: 40, maxLength: 400 });
const named = (name: string): Projection => projections.find((p) => p.name === name)!;

function rowsOf(projection: Projection, events: readonly SequencedEvent[]): BatchRows {
  const rows = createRows();
  for (const event of events) projectInMemory(projection, event, rows);
  return rows;
}
interface Kept {
  readonly row: unknown;
  readonly from: number;
  to: number | null;
}
/** What a database would hold after these writes: by table, key and the fact from which a row holds. */
function storeInto(tables: Map<string, Kept[]>, rows: BatchRows): void {
  for (const [table, { closes, inserts }] of rows.take()) {
    const kept = tables.get(table.name) ?? [];
    tables.set(table.name, kept);
    for (const { key, to } of closes) {
      const open = kept.filter((k) => k.to === null && table.key.every((c, i) => (k.row as Row)[c] === key[i]));
      expect(open).toHaveLength(1);
      open[0]!.to = to;
    }
    kept.push(...inserts.map((insert) => ({ ...insert })));
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
const instant = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

describe('every read model', () => {
  it('is the same however the log is cut into batches', () => {
    fc.assert(
      fc.property(moves, fc.integer({ min: 1, max: 50 }), (drawn, size) => {
        const events = sequence(historyOf(drawn));
        for (const projection of projections) {
          const whole = new Map<string, Kept[]>();
          storeInto(whole, rowsOf(projection, events));
          const cut = new Map<string, Kept[]>();
          const rows = createRows();
          events.forEach((event, i) => {
            projectInMemory(projection, event, rows);
            if (i % size === 0) storeInto(cut, rows);
          });
          storeInto(cut, rows);
          expect(cut).toEqual(whole);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('makes the same changes of a fact twice, and changes neither the fact nor the rows it was given', () => {
    fc.assert(
      fc.property(moves, (drawn) => {
        const events = sequence(historyOf(drawn)).map(deepFreeze);
        for (const projection of projections) {
          const rows = createRows();
          for (const event of events) {
            for (let missing = rows.missing(projection.needs(event, rows)); missing.length > 0;) {
              for (const { table, key } of missing) rows.remember(table, key, undefined, -1);
              missing = rows.missing(projection.needs(event, rows));
            }
            const changes = deepFreeze(projection.project(event, rows));
            expect(projection.project(event, rows)).toEqual(changes);
            rows.apply(changes, event.logIndex);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('the pointer', () => {
  it('knows of what it names all that whole lists would say, after every fact', () => {
    fc.assert(
      fc.property(moves, (drawn) => {
        const folds = new Map<string, ReturnType<typeof createFold>>();
        const memory = createMemory(); // of all models, to know which one a rollout's fact is about
        const listed = new Map<string, string[]>();
        const rolledBack = new Set<string>();
        const of = new Map<string, string>();
        for (const event of sequence(historyOf(drawn))) {
          const { stream, fact } = event;
          if (fact.type === 'VersionListed') listed.set(stream, [...(listed.get(stream) ?? []), fact.data.version]);
          if (fact.type === 'RolloutCreated') of.set(stream, `version-${fact.data.model_id}@${fact.data.version}`);
          if (fact.type === 'RolloutRolledBack') rolledBack.add(of.get(stream)!);
          const modelId = pointerModel(event, memory);
          const parsed = parseStream(stream);
          memory.learn(remembered(event, parsed?.kind === 'rollout' ? memory.rollout(parsed.rolloutId) : undefined));
          if (modelId === undefined) continue;
          const fold = folds.get(modelId) ?? createFold();
          folds.set(modelId, fold);
          const pointer = fold(event);
          if (pointer) {
            const { model_id, stable, latest, rollouts, rolled_back, ever_rolled_out: hasBegun } = pointer;
            const isMarked = (v: string) => rolledBack.has(`version-${model_id}@${v}`);
            const named = new Set([stable, latest, ...rollouts.map((r) => r.version)].filter((v) => v !== null));
            expect(new Set(rolled_back)).toEqual(new Set([...named].filter(isMarked)));
            const candidates = (listed.get(`model-${model_id}`) ?? []).filter((v) => !isMarked(v));
            expect(latest).toBe(hasBegun ? null : (latestOf(candidates) ?? null));
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('read models and machines', () => {
  const foldAll = (events: readonly SequencedEvent[]) => {
    const states = new Map<string, Folded<unknown>>();
    for (const stream of new Set(events.map((e) => e.stream))) {
      states.set(stream, machineFor(stream).fold(events.filter((e) => e.stream === stream)));
    }
    return states;
  };

  it('agree on the state of every entity', () => {
    fc.assert(
      fc.property(moves, (drawn) => {
        const events = sequence(historyOf(drawn));
        const rows = new Map(projections.map((p) => [p.name, rowsOf(p, events)]));
        const states = foldAll(events);
        for (const [stream, folded] of states) {
          expect(folded.divergence).toBeUndefined();
          const of = parseStream(stream)!;
          if (of.kind === 'model') {
            const context = folded.context as ModelContext;
            const row = rows.get('catalog')!.get(models, of.modelId)!;
            expect(row).toMatchObject({ stable_version: context.stable, version_count: context.listed.length });
            context.listed.forEach((version, i) => {
              const listing = rows.get('catalog')!.get(listings, of.modelId, version)!;
              expect(listing.place).toBe(i + 1);
              const { state } = states.get(`version-${of.modelId}@${version}`)!;
              expect(listing.is_rolled_back).toBe(state === 'Rollback');
            });
            expect(row.contract_digest).toBe(context.contractDigest);
          } else if (of.kind === 'version') {
            const context = folded.context as VersionContext;
            const row = rows.get('versions')!.get(versionRows, of.modelId, of.version)!;
            expect(row.state).toBe(folded.state);
            expect(row.tensors_sha).toBe(context.tensorsSha);
            expect(row.files).toEqual(context.published?.files ?? context.uploaded);
            expect(row.rolled_back?.rollout_id).toBe(context.rolledBack?.rolloutId);
            expect(row.run_id).toBe(context.runId);
            expect(row.stream_version).toBe(folded.version);
          } else if (of.kind === 'rollout') {
            const context = folded.context as RolloutContext;
            const row = rows.get('rollouts')!.get(rolloutRows, of.rolloutId)!;
            expect(row).toMatchObject({ state: folded.state, stage: context.stage, clock_ms: context.clock.ranMs });
            expect(row.clock_since).toBe(instant(context.clock.since));
            expect(row.is_regressed).toBe(context.regressed !== null);
            expect(row.started_at).toBe(instant(context.startedAt));
          } else {
            const context = folded.context as TrainingContext;
            const row = rows.get('training')!.get(runs, of.runId)!;
            expect(row.status).toBe(runStatus(folded.state as TrainingStateName));
            expect(row.ended?.kind).toBe(context.ended?.kind);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keep each model’s pointer as the fold of its own facts', () => {
    fc.assert(
      fc.property(moves, (drawn) => {
        const events = sequence(historyOf(drawn));
        const rows = rowsOf(named('pointers'), events);
        const modelOfRollout = new Map<string, string>();
        const folds = new Map<string, ReturnType<typeof createFold>>();
        const folded = new Map<string, Pointer | undefined>();
        for (const event of events) {
          if (event.fact.type === 'RolloutCreated') modelOfRollout.set(event.stream, event.fact.data.model_id);
          const of = parseStream(event.stream)!;
          const id = 'modelId' in of ? of.modelId : modelOfRollout.get(event.stream);
          if (id === undefined) continue;
          const fold = folds.get(id) ?? createFold();
          folds.set(id, fold);
          folded.set(id, fold(event));
        }
        for (const [id, pointer] of folded) expect(rows.get(pointerRows, id)?.pointer).toEqual(pointer);
      }),
      { numRuns: 40 },
    );
  });
});
