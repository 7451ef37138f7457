/** For tests: log, sequencer, relay, Temporal and worker together, on a database and task queues of their own. */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type { ActivityDeps, ActivityLogger } from '../../activities/deps.ts';
import { createOnnxRuntime } from '../../activities/runtimes/onnxRuntime.ts';
import { bundleWorkflows, runWorker } from '../../activities/runWorker.ts';
import { installRuntime } from '../../activities/temporalRuntime.ts';
import type { Caller, CommandDeps } from '../../commands/context.ts';
import { createCommandDeps } from '../../commands/createDeps.ts';
import { createAndStart } from '../../commands/createAndStart.ts';
import { draftVersion } from '../../commands/draftVersion.ts';
import { recordPublished } from '../../commands/recordPublished.ts';
import { registerModel } from '../../commands/registerModel.ts';
import { requestPublish } from '../../commands/requestPublish.ts';
import { uploadArtifact } from '../../commands/uploadArtifact.ts';
import type { StoredEvent } from '../../domain/events/envelope.ts';
import type { ArmCounters, RolloutSpec } from '../../domain/events/rollout.ts';
import { rolloutStream } from '../../domain/events/streams.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { runTemporalRelay, type TemporalRelayOptions } from '../../relay/temporal.ts';
import { f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createPool } from '../../store/connect.ts';
import { createNoticeStore } from '../../store/notices/noticeTable.ts';
import { queryableOf } from '../../store/queryable.ts';
import { createEvidenceReader } from '../../store/telemetry/evidenceReader.ts';
import { createTelemetryReader } from '../../store/telemetry/telemetryReader.ts';
import { ORG, store } from './commands.ts';
import { openLog, until, type LogFixture } from './log.ts';
import { taskQueue as newTaskQueue, temporal as temporalOf } from './services.ts';

export const quiet: ActivityLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };
// Once a process, before any connection.
installRuntime(quiet);

export const arm = (devices: number, predictions: number, errors: number): ArmCounters => ({
  devices,
  predictions,
  errors,
  downloads: devices,
  download_failures: 0,
  latency: {},
});

export const asKey = (commandId: string = randomUUID(), onConflict: Caller['onConflict'] = 'redecide'): Caller => ({
  actor: { kind: 'key', id: 'key_test' },
  orgId: ORG,
  commandId,
  commandHash: null,
  correlationId: null,
  causationId: null,
  onConflict,
});

interface Loop {
  stop(): Promise<void>;
}
function loop(run: (signal: AbortSignal) => Promise<void>): Loop {
  const abort = new AbortController();
  const running = run(abort.signal);
  return {
    stop: async () => {
      abort.abort();
      await running;
    },
  };
}

export interface WorkflowFixture {
  readonly log: LogFixture;
  readonly commands: CommandDeps;
  readonly deps: ActivityDeps;
  readonly client: Client;
  readonly taskQueue: string;
  /** What the judge reads; tests set it. */
  counters: { canary: ArmCounters; control: ArmCounters };
  /** What follows devices back; tests set it. */
  devices: { told: number; outstanding: number };
  startRelay(options?: Partial<TemporalRelayOptions>): Loop;
  startWorker(deps?: Partial<ActivityDeps>): Promise<Loop>;
  /** Facts of a rollout so far, by type. */
  rolloutFacts(rolloutId: number): Promise<StoredEvent[]>;
  untilFact(rolloutId: number, type: string, count?: number): Promise<StoredEvent>;
  close(): Promise<void>;
}

let bundle: ReturnType<typeof bundleWorkflows> | undefined;

/**
 * Opens log, sequencer and connections; relay and worker are started by the test. The caller closes it.
 *
 * @param target default: the shared Temporal
 */
export async function openWorkflows(target = temporalOf()): Promise<WorkflowFixture> {
  const log = await openLog();
  const folder = await mkdtemp(join(tmpdir(), 'edgeml-'));
  const pool = createPool({ connectionString: log.appUrl, max: 6 });
  const on = queryableOf(pool);
  const commands = createCommandDeps({ log: log.store, blobs: createFileStore(folder), pool });
  const { address, namespace } = target;
  // Temporal is shared, and rollout ids are workflow ids: each file counts from elsewhere.
  await log.admin.query(`ALTER SEQUENCE store.rollout_ids RESTART WITH ${randomInt(1, 2 ** 40)}`);
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  const client = new Client({ connection, namespace });
  const taskQueue = newTaskQueue();
  const loops: Loop[] = [];
  const keep = (one: Loop): Loop => {
    loops.push(one);
    return one;
  };
  keep(loop((signal) => runSequencer({ connectionString: log.appUrl, signal, log: quiet })));

  const fixture: WorkflowFixture = {
    log,
    commands,
    client,
    taskQueue,
    counters: { canary: arm(10, 100, 0), control: arm(10, 100, 0) },
    devices: { told: 0, outstanding: 0 },
    deps: {
      commands,
      notices: createNoticeStore(on),
      telemetry: {
        ...createTelemetryReader(on),
        readCounters: () => Promise.resolve(fixture.counters),
        devicesStillOn: () =>
          Promise.resolve({ ...fixture.devices, back: fixture.devices.told - fixture.devices.outstanding }),
      },
      evidence: createEvidenceReader(on),
      runtime: createOnnxRuntime(),
      logger: quiet,
      followEveryMs: 50,
    },
    startRelay: (options = {}) =>
      keep(
        loop((signal) =>
          runTemporalRelay({
            log: log.store,
            connectionString: log.appUrl,
            temporal: { address, namespace },
            taskQueue,
            signal,
            logger: quiet,
            ...options,
          }),
        ),
      ),
    async startWorker(changes = {}) {
      bundle ??= bundleWorkflows();
      const made = await bundle;
      let ready: () => void = () => undefined;
      const isReady = new Promise<void>((resolve) => (ready = resolve));
      const worker = loop((signal) =>
        runWorker(
          { ...fixture.deps, ...changes },
          { connection: native, namespace, taskQueue, bundle: made, signal, graceMs: 0, onReady: () => ready() },
        ),
      );
      await isReady;
      return keep(worker);
    },
    rolloutFacts: (rolloutId) => log.store.readStream(rolloutStream(rolloutId)),
    async untilFact(rolloutId, type, count = 1) {
      let found: StoredEvent | undefined;
      await until(`${count} ${type} of rollout ${rolloutId}`, async () => {
        found = (await fixture.rolloutFacts(rolloutId)).filter((e) => e.fact.type === type)[count - 1];
        return found !== undefined;
      });
      return found!;
    },
    async close() {
      for (const one of loops.reverse()) await one.stop();
      await endAll(client, taskQueue);
      await connection.close();
      await native.close();
      await pool.end();
      await log.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
}

/** Ends what still runs on a queue, so that a shared Temporal is not left with runs that nobody works on. */
async function endAll(client: Client, taskQueue: string): Promise<void> {
  const query = `TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId } of client.workflow.list({ query })) {
    await client.workflow.getHandle(workflowId).terminate('the test is over');
  }
}

/** A model with a version of its own line published for each semver given, in order. */
export async function publishedModel(commands: CommandDeps, versions: readonly string[]): Promise<string> {
  const { modelId } = await registerModel(commands, asKey(), {
    orgId: ORG,
    name: `model-${randomUUID()}`,
    framework: 'onnx',
    useCase: 'test',
    description: '',
  });
  for (const version of versions) await publish(commands, modelId, version);
  return modelId;
}

async function publish(commands: CommandDeps, modelId: string, version: string): Promise<void> {
  const content = writeSafetensors([f32Tensor(`${modelId}@${version}`, [1], Float32Array.of(1))]);
  const [sha256, bytes] = [await store(commands, content), content.length];
  const file = { format: 'safetensors', sha256, bytes, media_type: 'application/octet-stream' };
  await draftVersion(commands, asKey(), { modelId, version });
  await uploadArtifact(commands, asKey(), { modelId, version, files: [file] });
  const { n } = await requestPublish(commands, asKey(), { modelId, version });
  const files = { files: [file], tensorsSha: sha256, reportSha: sha256 };
  const published = await recordPublished(commands, asKey(), { modelId, version, n, ...files });
  if (published.outcome !== 'appended') throw new Error(`publishing ${version}: ${JSON.stringify(published)}`);
}

/** Stages that bake 200 ms, looked at every 50 ms, with one rule on errors. */
export function quickSpec(
  version: string,
  percents: readonly number[],
  changes: Partial<RolloutSpec> = {},
): RolloutSpec {
  return {
    version,
    stages: percents.map((percent) => ({ percent, ramp: '0s', min_bake: '200ms', max_bake: '60s' })),
    look: '50ms',
    policy: { rules: [{ metric: 'error_rate', op: '>', value: 0.05, min_predictions: 50, min_devices: 5 }] },
    on_regressed: 'rollback',
    ...changes,
  };
}

/** Makes `version` stable by a person's word, or starts a judged rollout of it. */
export async function start(
  commands: CommandDeps,
  modelId: string,
  spec: RolloutSpec,
  atOnce = false,
): Promise<number> {
  const outcome = await createAndStart(commands, asKey(), {
    modelId,
    spec,
    ...(atOnce ? { completeAtOnce: { reason: 'a test' } } : {}),
  });
  if (outcome.outcome !== 'appended') throw new Error(`starting ${spec.version}: ${JSON.stringify(outcome)}`);
  return outcome.rolloutId;
}
