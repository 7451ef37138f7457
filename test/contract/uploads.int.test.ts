/** Uploads over real connections: the budget, the order of refusals, bytes cut anywhere, slow senders, and connections afterwards. */
import { createHash, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRound } from '../../commands/openRound.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { Http } from '../../sdk/http.ts';
import { until } from '../support/log.ts';
import { OWN, openTestApi, SDK, systemCaller, textOf, type Body, type TestApi } from './testApi.ts';

const PARAMETERS = 2 ** 18; // 1 MiB
const PLACES = 5;
const BYTES = PLACES * 1_100_000;
const COUNT = 8;

let t: TestApi;
let runId: string;
beforeAll(async () => {
  const uploads = { bytes: BYTES, count: COUNT, pace: { ms: 60_000, bytes: 1 } };
  t = await openTestApi(undefined, { maxUploadBytes: 2 ** 21, uploads });
  runId = await beginRun(t, PARAMETERS, 100);
});
afterAll(() => t.close());

/** A run with its first round open, on zeros. */
async function beginRun(on: TestApi, parameters: number, goal: number): Promise<string> {
  const name = `learner-${randomUUID()}`;
  await on.call('POST', `${OWN}/models`, { body: { name, framework: 'f', use_case: 'u' } });
  const base = writeSafetensors([f32Tensor('w', [parameters], new Float32Array(parameters))]);
  const init = await on.upload(Buffer.from(base));
  const admission = { max_norm: 1e5 };
  const body = { new_version: '1.0.0', init_artifact: init, rounds: 1, min_updates: goal, admission };
  const asked = await on.call('POST', `${OWN}/models/${name}/train`, { body });
  const id = textOf(asked.body, 'id').slice('training:'.length);
  await openRound(on.api.deps.commands, systemCaller(), { runId: id });
  return id;
}

interface Task {
  readonly task_id: string;
  readonly lease: string;
  readonly round_id: string;
  readonly base: { readonly sha256: string };
}

async function leased(on: TestApi = t, run: string = runId): Promise<Task> {
  const device = { device_identifier: randomUUID(), platform: 'ios' };
  const { body } = await on.call('POST', `${SDK}/devices/register`, { body: device, as: 'device' });
  const asked = {
    body: { device_id: textOf(body, 'id'), runs: [run] },
    as: 'device' as const,
    idempotent: false as const,
  };
  return (await on.call('POST', `${OWN}/training/checkin`, asked)).body['task'] as Task; // the answer fits its schema
}

function updateOf(task: Task, value = 0.001, more: Body = {}, parameters = PARAMETERS): Uint8Array {
  const deltas = [f32Tensor('w', [parameters], new Float32Array(parameters).fill(value))];
  const { task_id, round_id, base } = task;
  return encodeUpdate({ base: base.sha256, round: round_id, task: task_id, samples: 5, metrics: {}, deltas, ...more });
}
const digestOf = (bytes: Uint8Array) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`;
const pathOf = (task: Task) => `${OWN}/training/tasks/${task.task_id}/update`;
const headersOf = (task: Task, on: TestApi = t) => ({
  authorization: `Bearer ${on.secretOf('device')}`,
  'content-type': 'application/octet-stream',
  'edgeml-lease': task.lease,
});
const spooled = (on: TestApi = t) => readdir(join(on.blobDir, 'spool')).catch((): string[] => []);

interface Said {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Body;
  /** Of the client's side: the same port is the same connection. */
  readonly port: number | undefined;
}

/** Node's client, which sends a body whether or not it is wanted. `send` writes it; nothing is sent without it. */
function exchange(
  method: string,
  path: string,
  headers: Record<string, string | number>,
  {
    send,
    agent,
    on = t,
  }: { send?: (write: (b: Uint8Array) => void) => Promise<void> | void; agent?: Agent; on?: TestApi } = {},
): Promise<Said & { readonly continued: boolean }> {
  return new Promise((resolve, reject) => {
    let continued = false;
    let port: number | undefined;
    const asked = request(on.url + path, { method, headers, ...(agent ? { agent } : {}) }, (response) => {
      port ??= response.socket.localPort;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: isJson && text !== '' ? (JSON.parse(text) as Body) : {},
          port,
          continued,
        });
        if (!send) asked.destroy();
      });
    });
    asked.on('error', reject).on('socket', (socket) => (port = socket.localPort));
    const write = async () => {
      await send?.((bytes) => void asked.write(bytes));
      if (send || method === 'GET') asked.end();
      else asked.flushHeaders();
    };
    if (headers['expect'] === undefined) void write().catch(reject);
    else asked.on('continue', () => void ((continued = true), write().catch(reject)));
  });
}

/** The body in random pieces. */
const inPieces = (bytes: Uint8Array) => async (write: (b: Uint8Array) => void) => {
  for (let at = 0; at < bytes.length;) {
    const n = 1 + Math.floor(Math.random() * (Math.random() < 0.3 ? 9 : 200_000));
    write(bytes.subarray(at, at + n));
    at += n;
    await setImmediate();
  }
};

/** Begins an upload that stays away after its first bytes. */
function stalled(path: string, headers: Record<string, string>, length: number, on: TestApi = t): Socket {
  const { hostname, port } = new URL(on.url);
  const lines = Object.entries({ host: hostname, ...headers, 'content-length': String(length) });
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write(`PUT ${path} HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\nx`);
  return socket;
}

/** Runs `work` while every place of the budget is taken. */
async function whileFull(work: () => Promise<void>): Promise<void> {
  const headers = { authorization: `Bearer ${t.secretOf('admin')}` };
  const path = () => `${OWN}/blobs/${createHash('sha256').update(randomUUID()).digest('hex')}`;
  const before = (await spooled()).length;
  const held = Array.from({ length: PLACES }, () => stalled(path(), headers, 1_050_000));
  try {
    await until('all places are taken', async () => (await spooled()).length === before + PLACES);
    await work();
  } finally {
    held.forEach((socket) => socket.destroy());
    await until('the places are free', async () => (await spooled()).length === before);
  }
}

describe('a budget for five', () => {
  it('takes 64 updates of 1 MB that come at once, from clients that follow the window', async () => {
    const tasks: Task[] = [];
    for (let n = 0; n < 64; n += 1) tasks.push(await leased());
    let refused = 0;
    const counting: typeof fetch = async (...call) => {
      const answer = await fetch(...call);
      if (answer.status === 503) refused += 1;
      return answer;
    };
    const http = new Http({ baseUrl: t.url, apiKey: t.secretOf('device'), fetch: counting });
    const receipts = await Promise.all(
      tasks.map((task) => {
        const raw = updateOf(task);
        const headers = { ...headersOf(task), 'repr-digest': digestOf(raw) };
        return http.json<Body>('PUT', pathOf(task), { raw, headers });
      }),
    );
    expect(new Set(receipts.map((r) => r['update_sha'])).size).toBe(64);
    expect(refused).toBeGreaterThan(0);
    expect((await t.call('GET', `${OWN}/training/${runId}`)).body).toMatchObject({ current: { accepted: 64 } });
    expect(await spooled()).toEqual([]);
  });

  it('refuses the next with a window, of both kinds, and nothing else; a place that comes free is taken', async () => {
    const task = await leased();
    const bytes = updateOf(task);
    const blob = Buffer.alloc(100_000, 7);
    const blobPath = `${OWN}/blobs/${createHash('sha256').update(blob).digest('hex')}`;
    const asAdmin = { authorization: `Bearer ${t.secretOf('admin')}` };
    await whileFull(async () => {
      const answers = [
        await exchange('PUT', pathOf(task), { ...headersOf(task), 'content-length': bytes.length }),
        await exchange('PUT', blobPath, { ...asAdmin, 'content-length': 1_000_000 }),
        // Of unknown length: it may be the largest.
        await exchange('PUT', blobPath, { ...asAdmin, 'transfer-encoding': 'chunked' }),
      ];
      for (const { status, headers, body } of answers) {
        expect({ status, body }).toMatchObject({ status: 503, body: { code: 'unavailable', appended: false } });
        expect(headers['edgeml-retry']).toBe('min=1000,max=5000');
        expect(headers['retry-after']).toMatch(/^[1-5]$/);
      }
      expect(answers[0]!.headers['edgeml-reason']).toBe('unavailable');
      expect(await spooled()).toHaveLength(PLACES);
      expect((await t.call('GET', `${OWN}/training/${runId}`)).status).toBe(200);
      // What needs no byte is said as always, and a small one still has a place.
      const foreign = { ...headersOf(task), 'edgeml-lease': 'x', 'content-length': bytes.length };
      expect((await exchange('PUT', pathOf(task), foreign)).body).toMatchObject({ code: 'lease_invalid' });
      const small = { send: (write: (b: Uint8Array) => void) => write(blob) };
      expect((await exchange('PUT', blobPath, { ...asAdmin, 'content-length': blob.length }, small)).status).toBe(201);
    });
    const length = { 'content-length': bytes.length };
    const sent = await exchange('PUT', pathOf(task), { ...headersOf(task), ...length }, { send: inPieces(bytes) });
    expect(sent.status).toBe(201);
  });

  it('counts bodies too, however small', async () => {
    const asAdmin = { authorization: `Bearer ${t.secretOf('admin')}` };
    const path = `${OWN}/blobs/${'0'.repeat(64)}`;
    const held = Array.from({ length: COUNT }, () => stalled(path, asAdmin, 10));
    await until('all are under way', async () => (await spooled()).length === COUNT);
    expect((await exchange('PUT', path, { ...asAdmin, 'content-length': 10 })).status).toBe(503);
    held.forEach((socket) => socket.destroy());
    await until('all are gone', async () => (await spooled()).length === 0);
  });
});

describe('a connection whose body was refused', () => {
  it('is as good as new for a client that sends its body anyway', async () => {
    const task = await leased();
    const bytes = updateOf(task);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = { send: inPieces(bytes), agent };
    const length = { 'content-length': bytes.length };
    let port: number | undefined;
    await whileFull(async () => {
      const refused = await exchange('PUT', pathOf(task), { ...headersOf(task), ...length }, send);
      expect(refused.status).toBe(503);
      port = refused.port;
      expect(await exchange('GET', '/livez', {}, { agent })).toMatchObject({ status: 200, port });
    });
    // Refused by its header, with most of the body still to come.
    const wrong = updateOf(task, 0.001, { base: '0'.repeat(64) });
    const other = { 'content-length': wrong.length };
    const refused = await exchange(
      'PUT',
      pathOf(task),
      { ...headersOf(task), ...other },
      { send: inPieces(wrong), agent },
    );
    expect(refused).toMatchObject({ status: 412, port, body: { code: 'wrong_base' } });
    expect(await exchange('GET', '/livez', {}, { agent })).toMatchObject({ status: 200, port });
    agent.destroy();
  });

  it('is closed where the client asked first and held the body back; with a place it is told to go on', async () => {
    const task = await leased();
    const bytes = updateOf(task);
    const headers = { ...headersOf(task), 'content-length': bytes.length, expect: '100-continue' };
    await whileFull(async () => {
      const refused = await exchange('PUT', pathOf(task), headers, { send: inPieces(bytes) });
      expect(refused).toMatchObject({ status: 503, continued: false, headers: { connection: 'close' } });
    });
    const sent = await exchange('PUT', pathOf(task), headers, { send: inPieces(bytes) });
    expect(sent).toMatchObject({ status: 201, continued: true });

    const json = Buffer.from(JSON.stringify({ name: `asked first ${randomUUID()}`, framework: 'f', use_case: 'u' }));
    const asked = {
      authorization: `Bearer ${t.secretOf('admin')}`,
      'content-type': 'application/json',
      'content-length': json.length,
      'idempotency-key': randomUUID(),
      expect: '100-continue',
    };
    const model = { send: (write: (b: Uint8Array) => void) => write(json) };
    expect(await exchange('POST', `${OWN}/models`, asked, model)).toMatchObject({ status: 201, continued: true });
    const stranger = { ...asked, authorization: 'Bearer nobody' };
    const unknown = await exchange('POST', `${OWN}/models`, stranger, model);
    expect(unknown).toMatchObject({ status: 401, continued: false, headers: { connection: 'close' } });
  });
});

describe('an update whose bytes are cut anywhere', () => {
  it.each<[string, number, (task: Task) => Uint8Array]>([
    ['non_finite', 422, (task) => updateOf(task, Number.NaN)],
    ['norm_exceeded', 422, (task) => updateOf(task, 1_000)],
    ['grid_range', 422, (task) => updateOf(task, 0, { samples: 100_000, deltas: [loud()] })],
    ['shape_mismatch', 422, (task) => updateOf(task, 0, {}, PARAMETERS - 1)],
    ['unknown_tensor', 422, (task) => updateOf(task, 0, { deltas: [f32Tensor('v', [3], new Float32Array(3))] })],
    ['samples_out_of_range', 422, (task) => updateOf(task, 0, { samples: 0 })],
    ['metadata_mismatch', 422, (task) => updateOf(task, 0, { round: 'x' })],
    ['wrong_base', 412, (task) => updateOf(task, 0, { base: '0'.repeat(64) })],
    ['malformed_container', 422, (task) => updateOf(task).subarray(0, -5)],
    ['checksum_mismatch', 422, (task) => updateOf(task)],
  ])('is refused with %s, and nothing of it stays', async (code, status, make) => {
    const task = await leased();
    const bytes = make(task);
    const headers = { ...headersOf(task), 'content-length': bytes.length };
    const digest = code === 'checksum_mismatch' ? digestOf(Buffer.from('other')) : digestOf(bytes);
    const said = await exchange('PUT', pathOf(task), { ...headers, 'repr-digest': digest }, { send: inPieces(bytes) });
    expect(said).toMatchObject({ status, body: { code }, headers: { 'edgeml-reason': code } });
    expect(await spooled()).toEqual([]);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(await t.api.deps.blobs.stat(sha256)).toBeUndefined();
  });

  function loud() {
    const values = new Float32Array(PARAMETERS);
    values[7] = 99_000;
    return f32Tensor('w', [PARAMETERS], values);
  }
});

describe('what needs no byte', () => {
  it('is said before one is sent, in the order of the table', async () => {
    const task = await leased();
    const good = { ...headersOf(task), 'content-length': 1_000_000 };
    const say = async (headers: Record<string, string | number>, path = pathOf(task)) => {
      const { status, body } = await exchange('PUT', path, headers);
      return [status, body['code']];
    };
    const wrongType = { ...good, 'content-type': 'application/json' };
    expect(await say({ ...wrongType, 'edgeml-lease': 'x' })).toEqual([403, 'lease_invalid']);
    expect(await say(wrongType, pathOf({ ...task, task_id: randomUUID() }))).toEqual([404, 'task_unknown']);
    expect(await say(wrongType)).toEqual([415, 'unsupported_media_type']);
    expect(await say({ ...headersOf(task), 'transfer-encoding': 'chunked' })).toEqual([411, 'length_required']);
    expect(await say({ ...good, 'content-length': 10 ** 12 })).toEqual([413, 'payload_too_large']);
    expect(await say({ ...wrongType, 'content-length': 10 ** 12 })).toEqual([415, 'unsupported_media_type']);
    const asAdmin = { authorization: `Bearer ${t.secretOf('admin')}`, 'content-length': 10 ** 12 };
    expect(await say(asAdmin, `${OWN}/blobs/${'0'.repeat(64)}`)).toEqual([413, 'payload_too_large']);

    const bytes = updateOf(task);
    const whole = { ...good, 'content-length': bytes.length, 'repr-digest': digestOf(bytes) };
    const first = await exchange('PUT', pathOf(task), whole, { send: inPieces(bytes) });
    const again = await exchange('PUT', pathOf(task), whole);
    expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
    expect(await say({ ...whole, 'repr-digest': digestOf(Buffer.from('x')) })).toEqual([409, 'conflict']);
    const ended = await leased();
    const bad = updateOf(ended, Number.NaN);
    const send = { send: inPieces(bad) };
    await exchange('PUT', pathOf(ended), { ...headersOf(ended), 'content-length': bad.length }, send);
    expect(await say({ ...headersOf(ended), 'content-length': 1 }, pathOf(ended))).toEqual([409, 'task_ended']);
  });
});

describe('a sender that drips', () => {
  it('loses its place, and is told', async () => {
    const slow = await openTestApi(undefined, { uploads: { count: 1, pace: { ms: 1_500, bytes: 1_000 } } });
    try {
      const asAdmin = { authorization: `Bearer ${slow.secretOf('admin')}` };
      const socket = stalled(`${OWN}/blobs/${'0'.repeat(64)}`, asAdmin, 10_000, slow);
      let heard = '';
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      await until('it has the place', async () => (await spooled(slow)).length === 1);
      const http = new Http({ baseUrl: slow.url, apiKey: slow.secretOf('admin') });
      const blob = Buffer.from('a small blob');
      const path = `${OWN}/blobs/${createHash('sha256').update(blob).digest('hex')}`;
      const waiting = http.send('PUT', path, { raw: blob, headers: { 'content-type': 'application/octet-stream' } });
      while (!socket.destroyed) {
        socket.write('x');
        await delay(50);
      }
      expect(heard).toMatch(/^HTTP\/1\.1 408 [^]*connection: close[^]*"code":"request_timeout"/);
      expect((await waiting).status).toBe(201);
      expect(await spooled(slow)).toEqual([]);
    } finally {
      await slow.close();
    }
  });
});
