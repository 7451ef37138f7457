/**
 * Memory and the kill switch under uploads: 16 updates of 48 MB at once, to the real server process, from another one. Exits 1 if an answer is
 * wrong; goals that are not met fail nothing, since machines differ.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createCommandDeps } from '../commands/createDeps.ts';
import type { Caller, CommandDeps, Outcome } from '../commands/context.ts';
import { openRound } from '../commands/openRound.ts';
import { recordPublished } from '../commands/recordPublished.ts';
import { requestPublish } from '../commands/requestPublish.ts';
import { uploadArtifact } from '../commands/uploadArtifact.ts';
import { f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { createFileStore } from '../store/artifacts/fileStore.ts';
import { createPool } from '../store/connect.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { withDatabase } from './support/database.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';
import { withServer, type BenchServer } from './support/server.ts';
import type { UploadOrder } from './support/uploadLoad.ts';

const MIB = 2 ** 20;
const UPLOADS = 16;
const PARAMETERS = 12_000_000; // 48 MB
const OWN = '/lifecycle/v1';
const WAVES = process.argv.includes('--full') ? 10 : 3;

type Json = Readonly<Record<string, unknown>>;

async function call({ url, key }: BenchServer, method: string, path: string, body: unknown): Promise<Json> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    body: JSON.stringify(body),
  });
  const answer = await response.text();
  check(response.ok, `${method} ${path} answered ${response.status}: ${answer.slice(0, 300)}`);
  return JSON.parse(answer) as Json; // every answer here is an object
}

const system = (): Caller => ({
  actor: { kind: 'system', id: 'bench' },
  orgId: null,
  commandId: randomUUID(),
  commandHash: null,
  correlationId: null,
  causationId: null,
  onConflict: 'redecide',
});
const must = (outcome: Outcome) => check(outcome.outcome === 'appended', JSON.stringify(outcome).slice(0, 300));

/** The blob of a tensor of so many zeros, open to `modelId`'s owner. */
async function storeWeights(deps: CommandDeps, modelId: string, parameters: number) {
  const bytes = writeSafetensors([f32Tensor('w', [parameters], new Float32Array(parameters))]);
  const { sha256 } = await deps.blobs.put(bytes, { max: bytes.length });
  await deps.grants.grant((await deps.owners.ownerOf(modelId))!, [sha256]);
  return { format: 'safetensors', sha256, bytes: bytes.length, media_type: 'application/octet-stream' };
}

async function startRollout(server: BenchServer, deps: CommandDeps, modelId: string): Promise<string> {
  const version = '0.1.0';
  const file = await storeWeights(deps, modelId, 1);
  must(await uploadArtifact(deps, system(), { modelId, version, files: [file] }));
  const asked = await requestPublish(deps, system(), { modelId, version });
  must(asked);
  const published = { modelId, version, n: asked.n, files: [file], tensorsSha: file.sha256, reportSha: file.sha256 };
  must(await recordPublished(deps, system(), published));
  const stages = [{ percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' }];
  const rollout = await call(server, 'POST', `${OWN}/models/${modelId}/rollouts`, { version, stages, start: true });
  return `${OWN}/rollouts/${String(rollout['id'])}`;
}

async function startRun(server: BenchServer, deps: CommandDeps, modelId: string): Promise<string> {
  const { sha256 } = await storeWeights(deps, modelId, PARAMETERS);
  const body = { new_version: '1.0.0', init_artifact: sha256, rounds: 1, min_updates: 10_000 };
  const asked = await call(server, 'POST', `${OWN}/models/${modelId}/train`, body);
  const runId = String(asked['id']).slice('training:'.length);
  must(await openRound(deps, system(), { runId }));
  return runId;
}

/** Tasks of so many new devices. */
async function lease(server: BenchServer, runId: string, devices: number): Promise<UploadOrder['tasks']> {
  const tasks: UploadOrder['tasks'][number][] = [];
  for (let n = 0; n < devices; n += 1) {
    const device = { device_identifier: randomUUID(), platform: 'ios' };
    const { id } = await call(server, 'POST', '/api/v1/devices/register', device);
    const { task } = await call(server, 'POST', `${OWN}/training/checkin`, { device_id: id, runs: [runId] });
    tasks.push(task as UploadOrder['tasks'][number]);
  }
  return tasks;
}

/** One wave of uploads from another process; all of them must be accepted. */
async function upload(server: BenchServer, tasks: UploadOrder['tasks'], parameters: number): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'support', 'uploadLoad.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const order: UploadOrder = { url: server.url, key: server.key, parameters, tasks };
  child.stdin.end(JSON.stringify(order));
  const { statuses, ms } = JSON.parse(await text(child.stdout)) as { statuses: number[]; ms: number }; // our own
  check(
    statuses.every((s) => s === 201),
    `uploads were answered ${statuses.join(', ')}`,
  );
  return ms;
}

/** Stops and starts a rollout until `isOver`. @returns the milliseconds of each stop */
async function stopAgainAndAgain(server: BenchServer, rollout: string, isOver: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const began = performance.now();
    const stopped = await call(server, 'POST', `${rollout}/pause`, { reason: 'bench' });
    times.push(performance.now() - began);
    check(stopped['status'] === 'paused', `a stop left the rollout ${String(stopped['status'])}`);
    await call(server, 'POST', `${rollout}/resume`, { reason: 'bench' });
  }
  return times;
}

await withDatabase(async ({ appUrl, version }) => {
  await withServer(appUrl, async (server) => {
    printConditions({ postgres: version, fsync: 'on', uploads: `${UPLOADS} of ${(PARAMETERS * 4) / 1e6} MB` });
    const log = createEventStore({ connectionString: appUrl });
    const pool = createPool({ connectionString: appUrl, max: 2 });
    try {
      const deps = createCommandDeps({ log, blobs: createFileStore(server.blobDir), pool });
      const register = async (name: string) =>
        String((await call(server, 'POST', `${OWN}/models`, { name, framework: 'f', use_case: 'u' }))['id']);
      const rollout = await startRollout(server, deps, await register('stopped'));
      const runId = await startRun(server, deps, await register('learner'));

      let idleStops = 0;
      await stopAgainAndAgain(server, rollout, () => (idleStops += 1) > 50); // warms up
      idleStops = 0;
      const idle = await stopAgainAndAgain(server, rollout, () => (idleStops += 1) > 300);

      const busy: number[] = [];
      let most = 0;
      const before = server.rss();
      const watch = setInterval(() => (most = Math.max(most, server.rss())), 20);
      const waves: number[] = [];
      for (let wave = 0; wave < WAVES; wave += 1) {
        const tasks = await lease(server, runId, UPLOADS);
        let isOver = false;
        const stops = stopAgainAndAgain(server, rollout, () => isOver);
        waves.push(await upload(server, tasks, PARAMETERS).finally(() => (isOver = true)));
        for (const ms of await stops) busy.push(ms);
      }
      clearInterval(watch);
      const { rows } = await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ops.training_update`);
      check(rows[0]?.n === WAVES * UPLOADS, `${rows[0]?.n} updates were counted`);

      const growth = most - before;
      const rate = (UPLOADS * PARAMETERS * 4) / MIB / (quantile(waves, 0.5) / 1_000);
      const memory = `${(before / MIB).toFixed(0)} MiB before, +${(growth / MIB).toFixed(0)} MiB, ${rate.toFixed(0)} MiB/s`;
      printResult(`${UPLOADS} × 48 MB at once: server memory`, memory, '<= +64 MiB', growth <= 64 * MIB);
      const [calm, loud] = [quantile(idle, 0.99), quantile(busy, 0.99)];
      const stops = `p99 ${calm.toFixed(1)} ms idle, ${loud.toFixed(1)} ms under it (p50 ${quantile(idle, 0.5).toFixed(1)}, ${quantile(busy, 0.5).toFixed(1)}; ${busy.length} stops)`;
      printResult('a stop meanwhile', stops, '<= 3 × idle', loud <= 3 * calm);
    } finally {
      await log.close();
      await pool.end();
    }
  });
});
