/** The `edgeml` command as a person or a pipeline runs it: a process, its exit code, and what it prints where. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childEnvironment } from '../../environment.ts';
import { CHECKOUT } from '../../dev/reach.ts';
import { Device, encodeModel } from '../../sdk/index.ts';
import { eventually, startProduct, type Product } from './stack.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let product: Product;

/** Runs until it has printed `text`, then ends it as Ctrl-C would. */
function tail(text: RegExp, ...args: string[]): Promise<Ran> {
  return edgeml(...args, (child, out) => void (text.test(out) && child.kill('SIGINT')));
}

type Watch = (child: ReturnType<typeof spawn>, out: string) => void;

function edgeml(...given: (string | Watch)[]): Promise<Ran> {
  const args = given.filter((a) => typeof a === 'string');
  const watch = given.find((a) => typeof a === 'function');
  const child = spawn(process.execPath, [join(CHECKOUT, 'cli', 'bin.mjs'), ...args], {
    env: childEnvironment({ EDGEML_URL: product.stack.url, EDGEML_API_KEY: product.adminKey }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (d: Buffer) => {
    out += d.toString();
    watch?.(child, out);
  });
  child.stderr.on('data', (d: Buffer) => (err += d.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code: code ?? -1, out, err })));
}

/** The JSON that a command printed; the test that reads it says what it holds. */
async function json<T>(...args: string[]): Promise<T> {
  const ran = await edgeml(...args, '-o', 'json');
  expect(ran.code, ran.err).toBe(0);
  return JSON.parse(ran.out) as T;
}

beforeAll(async () => {
  product = await startProduct('cli');
}, 120_000);
afterAll(() => product?.end());

describe('the edgeml command', { timeout: 120_000 }, () => {
  it('says who I am, and makes keys that may do less', async () => {
    expect((await edgeml('whoami')).out).toMatch(/admin/);
    const made = await edgeml('key', 'create', 'reader', '--role', 'viewer', '-o', 'name');
    expect(made.out).toMatch(/^ek_/);
    const file = join(product.stack.home, 'reader.key');
    writeFileSync(file, made.out);
    const refused = await edgeml(
      '--key-file',
      file,
      'model',
      'create',
      'x',
      '--framework',
      'custom',
      '--use-case',
      'y',
    );
    expect(refused.code).toBe(7);
    expect(refused.err).toMatch(/models:write/);
    const [key] = (await json<{ id: string; name: string }[]>('key', 'list')).filter((k) => k.name === 'reader');
    expect((await edgeml('key', 'revoke', key!.id)).code).toBe(0);
    expect((await edgeml('--key-file', file, 'model', 'list')).code).toBe(7);
  });

  it('makes an organisation whose admin sees nothing of the first', async () => {
    const made = await json<{ id: string; admin_key: { key: string } }>('org', 'create', 'Acme', '--id', 'org_acme');
    expect(made.id).toBe('org_acme');
    const file = join(product.stack.home, 'acme.key');
    writeFileSync(file, made.admin_key.key);
    expect((await edgeml('--key-file', file, 'whoami')).out).toMatch(/of org_acme/);
    expect((await edgeml('org', 'list', '-o', 'name')).out.split('\n')).toContain('org_acme');
    expect((await edgeml('--key-file', file, 'org', 'list')).code).toBe(7);
  });

  it('walks a model from the catalogue to a completed rollout, and back', async () => {
    const create = ['model', 'create', 'cli-model', '--framework', 'custom', '--use-case', 'test'];
    const graph = ['--architecture', 'mlp:relu:sigmoid', '--input-dim', '4', '--output-dim', '1'];
    const model = await json<{ id: string }>(...create, ...graph);
    expect((await json<{ id: string }>(...create, ...graph)).id).toBe(model.id);
    expect((await edgeml('model', 'list')).out).toMatch(/cli-model/);

    const init = join(product.stack.home, 'init.safetensors');
    writeFileSync(
      init,
      encodeModel(
        new Map([
          ['fc.bias', { shape: [1], data: new Float32Array([0.5]) }],
          ['fc.weight', { shape: [1, 4], data: new Float32Array([1, -1, 0.5, 2]) }],
        ]),
      ),
    );
    const key = (await product.audit.createKey({ name: 'fleet', roles: ['device'] })).key;
    const device = new Device({ baseUrl: product.stack.url, apiKey: key, deviceIdentifier: 'one', platform: 'ios' });
    const training = edgeml(
      ...['train', 'start', 'cli-model', '--new-version', '1.0.0', '--init', init],
      ...['--rounds', '1', '--min-updates', '1', '--goal', '1', '--publish'],
    );
    await eventually(async () => {
      const receipt = await device.train((base) => ({
        delta: new Map([...base].map(([name, t]) => [name, { shape: t.shape, data: t.data.map(() => 0.01) }])),
        samples: 3,
      }));
      return receipt ?? undefined;
    });
    const trained = await training;
    expect(trained.code, trained.err).toBe(0);
    expect(trained.out).toMatch(/succeeded/);
    expect((await edgeml('version', 'publish', 'cli-model', '1.0.0')).out).toMatch(/Published/);

    expect((await edgeml('version', 'list', 'cli-model')).out).toMatch(/1\.0\.0 +Published/);
    const run = /run ([0-9a-f-]{36})/.exec(trained.err)![1]!;
    expect((await edgeml('train', 'get', run)).out).toMatch(/succeeded/);
    expect((await edgeml('train', 'rounds', run)).out).toMatch(/1\.1 +aggregated/);

    const early = await edgeml('rollout', 'start', 'cli-model', '9.9.9');
    expect(early.code).toBe(6);
    const start = [
      'rollout',
      'start',
      'cli-model',
      '1.0.0',
      '--steps',
      '50,100',
      '--bake',
      '1h',
      '--max-bake',
      '2h',
      '--ramp',
      '0s',
    ];
    const rollout = await json<{ id: number; status: string }>(...start);
    expect(rollout.status).toBe('active');
    const id = String(rollout.id);
    expect((await edgeml('rollout', 'list', 'cli-model')).out).toMatch(/1\.0\.0 +active +1\/2/);
    const refused = await edgeml('rollout', 'advance', id);
    expect(refused.code).toBe(6);
    expect(refused.err).toMatch(/minBakeElapsed/);
    expect((await edgeml('rollout', 'pause', id, '--reason', 'lunch')).out).toMatch(/paused/);
    expect((await edgeml('rollout', 'status', id, '--wait')).code).toBe(4);
    expect((await edgeml('rollout', 'resume', id)).out).toMatch(/active/);
    const step = ['rollout', 'advance', id, '--override', '--reason', 'a demo'];
    expect((await edgeml(...step)).out).toMatch(/100 %/);
    expect((await edgeml(...step)).out).toMatch(/completed/);
    expect((await edgeml('model', 'get', 'cli-model')).out).toMatch(/stable {5}1\.0\.0/);
    expect((await edgeml('--as-of', '1', 'model', 'get', 'cli-model')).out).toMatch(/stable {5}–/);

    const unasked = await edgeml('rollback', 'cli-model', '--reason', 'crashes');
    expect(unasked.code, unasked.err).toBe(2);
    const behind = await edgeml('-y', 'rollback', 'cli-model', '--reason', 'crashes');
    expect(behind.code).toBe(6);
    expect(behind.err).toMatch(/no other version may come back/);
    expect((await edgeml('-y', 'rollout', 'rollback', id, '--reason', 'crashes')).out).toMatch(/rolled_back/);
    expect((await edgeml('rollout', 'status', id)).code).toBe(3);
    expect((await edgeml('postmortem', 'get', id)).out).toMatch(/crashes/);
    expect((await edgeml('model', 'lineage', 'cli-model')).out).toMatch(/1\.0\.0.*Rollback/);
  });

  it('tails the facts until Ctrl-C', async () => {
    const tailed = await tail(/RolloutRolledBack/, 'events', 'tail', '--from', '0');
    expect(tailed.code).toBe(130);
    expect(tailed.out).toMatch(/^ +0 .*ModelRegistered/);
  });

  it('lists, replays and verifies the facts', async () => {
    const events = await json<{ type: string; stream: string }[]>('events', 'list', '--kind', 'rollout');
    expect(events.map((e) => e.type)).toContain('RolloutRolledBack');
    const replay = await edgeml('audit', 'replay', events[0]!.stream);
    expect(replay.out).toMatch(/None → Pending/);
    expect((await edgeml('state', events[0]!.stream)).out).toMatch(/RolledBack/);
    const verified = await edgeml('audit', 'verify');
    expect(verified.code, verified.out + verified.err).toBe(0);
    expect(verified.out).toMatch(/^the log is whole: every step passed/);
    expect(verified.err).toMatch(/^audit verify: log \d+/);
  });

  it('tells a usage error from a server that is not there', async () => {
    expect((await edgeml('rollout', 'get', 'seven')).code).toBe(2);
    expect((await edgeml('nonsense')).code).toBe(2);
    expect((await edgeml('--url', 'http://127.0.0.1:9', 'whoami')).code).toBe(8);
  });
});
