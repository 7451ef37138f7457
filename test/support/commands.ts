/** For tests of use cases: stores on a real Postgres, callers, and the shortest way to a published version or an open round. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { UpdateBody } from '../../commands/admitUpdate.ts';
import type { Architecture } from '../../domain/events/model.ts';
import type { RolloutSpec } from '../../domain/events/rollout.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { stage } from '../../machines/facts.fixture.ts';
import { asOrgId } from '../../domain/org.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createPool } from '../../store/connect.ts';
import type { EventStore } from '../../store/log/eventStore.ts';
import type { PostgresEventStore } from '../../store/log/postgresEventStore.ts';
import { openLog, until } from './log.ts';
import type { Caller, CommandDeps, Outcome } from '../../commands/context.ts';
import { createCommandDeps } from '../../commands/createDeps.ts';
import { leaseTask, type TrainingTask } from '../../commands/leaseTask.ts';
import { openRound } from '../../commands/openRound.ts';
import { recordPublished } from '../../commands/recordPublished.ts';
import { registerModel } from '../../commands/registerModel.ts';
import { requestPublish } from '../../commands/requestPublish.ts';
import { requestTraining } from '../../commands/requestTraining.ts';
import { uploadArtifact } from '../../commands/uploadArtifact.ts';

export interface Commands {
  readonly deps: CommandDeps;
  readonly log: PostgresEventStore;
  readonly appUrl: string;
  /** Holds the lock of a run, so that a test lets its racers queue in an order of its own. */
  holdRun(runId: string): Promise<HeldRun>;
  close(): Promise<void>;
}

export interface HeldRun {
  /** Resolves when `n` transactions wait for the lock. They get it in the order in which they came. */
  queued(n: number): Promise<void>;
  release(): Promise<void>;
}

/** A fresh database and blob folder; the caller closes it. */
export async function openCommands(): Promise<Commands> {
  const { store: log, appUrl, session, close } = await openLog();
  const folder = await mkdtemp(join(tmpdir(), 'edgeml-commands-'));
  const pool = createPool({ connectionString: appUrl, max: 10 });
  return {
    deps: createCommandDeps({ log, blobs: createFileStore(folder), pool }),
    log,
    appUrl,
    async holdRun(runId) {
      const client = await session();
      await client.query('BEGIN');
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('edgeml run'), hashtext($1))`, [runId]);
      const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
      return {
        queued: (n) => until(`${n} wait for the run`, async () => (await client.query(waiting)).rows[0].n === n),
        release: async () => void (await client.query('COMMIT')),
      };
    },
    async close() {
      await pool.end();
      await close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Whose the models of these tests are. */
export const ORG = asOrgId('org_local');

const caller = (onConflict: Caller['onConflict'], commandId: string): Caller => ({
  actor: { kind: 'key', id: 'key_test' },
  orgId: ORG,
  commandId,
  commandHash: null,
  correlationId: null,
  causationId: null,
  onConflict,
});
export const person = (commandId: string = randomUUID()) => caller('redecide', commandId);
export const stopper = (commandId: string = randomUUID()) => caller('stop', commandId);
export const workflow = (commandId: string = randomUUID()): Caller => ({
  ...caller('stale', commandId),
  orgId: null,
  actor: { kind: 'workflow', id: 'test' },
});

/** Types and streams of an outcome's events, for short assertions. @throws Error with the refusal where it appended nothing */
export function facts(outcome: Outcome): string[] {
  if (outcome.outcome !== 'appended') throw new Error(`not appended: ${JSON.stringify(outcome)}`);
  return outcome.events.map((e) => e.type);
}
export const streamsOf = (outcome: Outcome) => new Set('events' in outcome ? outcome.events.map((e) => e.stream) : []);

/** Names of the unmet guards. */
export const unmet = (outcome: Outcome) =>
  outcome.outcome === 'refused'
    ? (outcome.refusal.guards ?? []).filter((g) => !g.met).map((g) => g.name)
    : outcome.outcome;

/** Stores, then loses the answer of the first append or transaction. */
export function losingFirstAnswer(deps: CommandDeps): CommandDeps {
  let isLost = false;
  const lose = <T>(value: T): T => {
    if (isLost) return value;
    isLost = true;
    throw new Error('the answer was lost');
  };
  return withLog(deps, {
    append: async (...args) => lose(await deps.log.append(...args)),
    transaction: async (lane, body) => lose(await deps.log.transaction(lane, body)),
  });
}

/** Runs `meanwhile` once, between the first decision and its append. */
export function interrupted(deps: CommandDeps, meanwhile: () => Promise<unknown>): CommandDeps {
  let isDone = false;
  return withLog(deps, {
    append: async (...args) => {
      if (!isDone) {
        isDone = true;
        await meanwhile();
      }
      return deps.log.append(...args);
    },
  });
}

const withLog = (deps: CommandDeps, members: Partial<EventStore>): CommandDeps => ({
  ...deps,
  log: { ...deps.log, ...members },
});

/** Two tensors, six parameters. */
export const weights = (seed = 1): Uint8Array =>
  writeSafetensors([
    f32Tensor('bias', [2], Float32Array.of(seed, -seed)),
    f32Tensor('weight', [2, 2], Float32Array.of(0.5, -0.25, seed / 8, 0.1)),
  ]);

export async function store(deps: CommandDeps, bytes: Uint8Array): Promise<string> {
  const { sha256 } = await deps.blobs.put(bytes, { max: bytes.length });
  await deps.grants.grant(ORG, [sha256]);
  return sha256;
}

export async function newModel(deps: CommandDeps, architecture?: Architecture): Promise<string> {
  const named = { orgId: ORG, name: `keyboard-${randomUUID()}`, framework: 'pytorch', useCase: 'nlp' };
  const graph = architecture ? { architecture } : {};
  return (await registerModel(deps, person(), { ...named, description: '', ...graph })).modelId;
}

/** What the weights of these tests are: two inputs, two classes. */
export const GRAPH: Architecture = { kind: 'mlp:relu:softmax', input_dim: 2, output_dim: 2 };

/** Held-out data that fit {@link GRAPH}. */
export const heldOut = (): Uint8Array =>
  writeSafetensors([
    f32Tensor('input', [1, 2], Float32Array.of(1, 2)),
    { name: 'labels', dtype: 'I64', shape: [1], data: new Uint8Array(new BigInt64Array([1n]).buffer) },
  ]);

/** A version whose publication is running, with its own weights. */
export async function publishing(deps: CommandDeps, modelId: string, version: string) {
  const bytes = weights(Number(version.replace(/\D/g, '')) + 1);
  const sha256 = await store(deps, bytes);
  const files = [{ format: 'safetensors', sha256, bytes: bytes.length, media_type: 'application/octet-stream' }];
  facts(await uploadArtifact(deps, person(), { modelId, version, files }));
  const { n, ...asked } = await requestPublish(deps, person(), { modelId, version });
  facts(asked);
  return { modelId, version, n, files, tensorsSha: sha256, reportSha: sha256 };
}

export async function publish(deps: CommandDeps, modelId: string, version: string): Promise<void> {
  facts(await recordPublished(deps, workflow(), await publishing(deps, modelId, version)));
}

export const spec = (version: string, percents: readonly number[] = [10, 100], more: Partial<RolloutSpec> = {}) => ({
  version,
  stages: percents.map((percent) => ({ ...stage(percent), min_bake: '0s' })),
  look: '1s',
  policy: { rules: [] },
  on_regressed: 'rollback' as const,
  ...more,
});

/** A run that starts from first weights, with its first round open. */
export async function openRun(deps: CommandDeps, request: Readonly<Record<string, unknown>> = {}) {
  const modelId = await newModel(deps, request['evaluation'] ? GRAPH : undefined);
  const base = await store(deps, weights());
  const asked = { new_version: '1.0.0', init_artifact: base, rounds: 1, min_updates: 2, goal: 3, ...request };
  const { runId, ...outcome } = await requestTraining(deps, person(), { modelId, request: asked, source: 'own' });
  facts(outcome);
  facts(await openRound(deps, workflow(), { runId }));
  return { modelId, runId, base };
}

export async function lease(deps: CommandDeps, runId: string, deviceId: string): Promise<TrainingTask> {
  const { task, reason } = await leaseTask(deps, { orgId: ORG, runId, deviceId });
  if (!task) throw new Error(`no task for ${deviceId}: ${reason}`);
  return task;
}

/** Bytes as they come over a connection, cut before each of `cuts` (ascending offsets). */
export const bodyOf = (bytes: Uint8Array, cuts: readonly number[] = []): UpdateBody => ({
  length: bytes.length,
  mediaType: 'application/octet-stream',
  open: () => Readable.from([0, ...cuts].map((cut, i) => bytes.subarray(cut, cuts[i] ?? bytes.length))),
});

/** A task's answer: a small delta that depends on `value`. */
export function updateFor(task: TrainingTask, value = 0.1, samples = 10) {
  const bytes = encodeUpdate({
    base: task.round.baseSha,
    round: task.round.roundId,
    task: task.taskId,
    samples,
    metrics: { n: samples, loss_sum: samples / 2, correct: samples - 1 },
    deltas: [f32Tensor('bias', [2], Float32Array.of(value, 0)), f32Tensor('weight', [2, 2], new Float32Array(4))],
  });
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { taskId: task.taskId, orgId: ORG, lease: task.lease, bytes, body: bodyOf(bytes), digest };
}
