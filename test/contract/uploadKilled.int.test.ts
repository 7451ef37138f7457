/** A server that is killed while an update streams: no row, no leftover after the next start, and the repeat counts once. */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCommandDeps } from '../../commands/createDeps.ts';
import { openRound } from '../../commands/openRound.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createPool } from '../../store/connect.ts';
import { createEventStore } from '../../store/log/postgresEventStore.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';
import { OWN, systemCaller } from './testApi.ts';

let database: TestDatabase;
let server: ServerProcess;
beforeAll(async () => {
  database = await createDatabase();
  server = await startServer(database);
});
afterAll(async () => {
  server.child.kill('SIGKILL');
  await database.drop();
});

const PARAMETERS = 100_000;

interface Task {
  readonly task_id: string;
  readonly lease: string;
  readonly round_id: string;
  readonly base: { readonly sha256: string };
}

async function say(method: string, path: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await server.ask(method, path, body, { 'idempotency-key': randomUUID() });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>; // every answer here is an object
}

/** A task of a run whose first round is open. */
async function leased(): Promise<Task> {
  const name = 'learner';
  await server.soon('it to answer', async () => (await server.ask('GET', `${OWN}/models`)).ok);
  await say('POST', `${OWN}/models`, { name, framework: 'f', use_case: 'u' });
  const base = writeSafetensors([f32Tensor('w', [PARAMETERS], new Float32Array(PARAMETERS))]);
  const sha256 = createHash('sha256').update(base).digest('hex');
  const headers = { authorization: `Bearer ${server.key}` };
  await fetch(`${server.url}${OWN}/blobs/${sha256}`, { method: 'PUT', headers, body: new Uint8Array(base) });
  const request = { new_version: '1.0.0', init_artifact: sha256, rounds: 1, min_updates: 2 };
  const runId = String((await say('POST', `${OWN}/models/${name}/train`, request))['id']).slice('training:'.length);
  const log = createEventStore({ connectionString: database.appUrl });
  const pool = createPool({ connectionString: database.appUrl, max: 1 });
  const blobs = createFileStore(server.blobDir);
  await openRound(createCommandDeps({ log, blobs, pool }), systemCaller(), { runId });
  await Promise.all([log.close(), pool.end()]);
  const device = { device_identifier: randomUUID(), platform: 'ios' };
  const { id } = await say('POST', '/api/v1/devices/register', device);
  return (await say('POST', `${OWN}/training/checkin`, { device_id: id, runs: [runId] }))['task'] as Task;
}

it('leaves nothing behind, and the repeat counts once', async () => {
  const task = await leased();
  const bytes = encodeUpdate({
    base: task.base.sha256,
    round: task.round_id,
    task: task.task_id,
    samples: 5,
    metrics: {},
    deltas: [f32Tensor('w', [PARAMETERS], new Float32Array(PARAMETERS).fill(0.5))],
  });
  const path = `${OWN}/training/tasks/${task.task_id}/update`;
  const headers = {
    authorization: `Bearer ${server.key}`,
    'content-type': 'application/octet-stream',
    'edgeml-lease': task.lease,
  };
  const spool = join(server.blobDir, 'spool');
  const blobsBefore = (await readdir(join(server.blobDir, 'sha256'), { recursive: true })).length;

  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  const lines = Object.entries({ host: hostname, ...headers, 'content-length': String(bytes.length) });
  socket.write(`PUT ${path} HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`);
  socket.write(bytes.subarray(0, bytes.length / 2));
  await server.soon('half of it to be there', async () => (await readdir(spool)).length === 1);
  server.child.kill('SIGKILL');
  await once(server.child, 'exit');
  expect(await readdir(spool)).toHaveLength(1);

  server = await startServer(database, { home: server.home });
  await server.soon('the leftover to be swept', async () => (await readdir(spool)).length === 0);
  expect((await readdir(join(server.blobDir, 'sha256'), { recursive: true })).length).toBe(blobsBefore);
  await server.soon('it to answer', async () => (await server.ask('GET', `${OWN}/models`)).ok);

  const send = () => fetch(server.url + path, { method: 'PUT', headers, body: new Uint8Array(bytes) });
  const first = await send();
  const again = await send();
  expect([first.status, again.status]).toEqual([201, 200]);
  expect(await again.json()).toEqual(await first.json());
  const pool = createPool({ connectionString: database.appUrl, max: 1 });
  const { rows } = await pool.query('SELECT accepted FROM ops.training_round');
  await pool.end();
  expect(rows).toEqual([{ accepted: 1 }]);
  expect(await readdir(spool)).toEqual([]);
});
