/** What the environment may say, and what is refused with the name of the variable. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLoopbackHost, readConfig } from './config.ts';
import { readDevSettings } from './dev/settings.ts';
import { childEnvironment, driverEnvironment, type Environment } from './environment.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgeml-config-'));
  writeFileSync(join(folder, 'test.key'), `ek_test_${'a'.repeat(38)}\n`);
  writeFileSync(join(folder, 'live.key'), `ek_live_${'a'.repeat(38)}\n`);
  writeFileSync(join(folder, 'short.key'), 'hunter2');
  writeFileSync(join(folder, 'secret'), Buffer.alloc(32, 1));
  writeFileSync(join(folder, 'short-secret'), Buffer.alloc(31, 1));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LEAST = {
  DATABASE_URL: 'postgresql://edgeml_app:pw@127.0.0.1:7401/edgeml',
  NATS_URL: 'nats://127.0.0.1:7402',
  TEMPORAL_ADDRESS: '127.0.0.1:7403',
} as const;
const read = (more: Environment = {}) => readConfig({ ...LEAST, ...more });
const at = (name: string) => join(folder, name);

describe('readConfig', () => {
  it('needs three variables and has a default for the rest', () => {
    expect(read()).toMatchObject({
      database: { url: LEAST.DATABASE_URL },
      nats: { url: LEAST.NATS_URL },
      temporal: { address: '127.0.0.1:7403', namespace: 'default', taskQueue: 'edgeml-main', tls: false },
      http: { host: '127.0.0.1', port: 7400, publicUrl: 'http://127.0.0.1:7400', corsOrigins: [] },
      org: 'org_local',
      logLevel: 'info',
      maxUploadBytes: 268_435_456,
      uploads: { bytes: 268_435_456, count: 64 },
    });
    expect(read({ EDGEML_HOME: '/srv/edgeml' })).toMatchObject({ home: '/srv/edgeml', blobDir: '/srv/edgeml/blobs' });
    expect(read()).not.toHaveProperty('workerMetricsPort');
    expect(read()).not.toHaveProperty('rateLimit');
    expect(read({ EDGEML_RATE_LIMIT: '600' })).toMatchObject({ rateLimit: 600 });
    expect(() => read({ EDGEML_RATE_LIMIT: '0' })).toThrow(/EDGEML_RATE_LIMIT/);
    expect(read()).not.toHaveProperty('database.migrateUrl');
  });

  it('takes a password as it is from a variable of its own, which goes before the one in the address', () => {
    const { database } = read({ DATABASE_PASSWORD: 'a/b@c#d?e%f:g' });
    expect(decodeURIComponent(new URL(database.url).password)).toBe('a/b@c#d?e%f:g');
    expect(new URL(database.url).host).toBe('127.0.0.1:7401');
    expect(read({ DATABASE_PASSWORD: '' }).database.url).toBe(LEAST.DATABASE_URL);
  });

  it('takes an empty variable for an unset one', () => {
    expect(read({ DATABASE_MIGRATE_URL: '', HTTP_PORT: ' ', TEMPORAL_TLS: '', EDGEML_SECRET_FILE: '' })).toEqual(
      read(),
    );
  });

  it('lists every fault at once, and no value', () => {
    const fail = () =>
      readConfig({ DATABASE_URL: 'postgresql://root:hunter2@db/x', HTTP_PORT: '70000', LOG_LEVEL: 'loud' });
    expect(fail).toThrow(
      /HTTP_PORT: [^]*LOG_LEVEL: [^]*DATABASE_URL: [^]*edgeml_app[^]*NATS_URL: [^]*TEMPORAL_ADDRESS: /,
    );
    expect(fail).not.toThrow(/hunter2|70000|loud/);
  });

  it.each<[string, Environment, RegExp]>([
    [
      'another machine in the clear',
      { TEMPORAL_ADDRESS: 'temporal.example:7233' },
      /TEMPORAL_ADDRESS: .*without TLS or an API key/,
    ],
    [
      'a key in the clear',
      { TEMPORAL_ADDRESS: 't.example:7233', TEMPORAL_API_KEY: 'k', TEMPORAL_TLS: 'off' },
      /in the clear/,
    ],
    ['an address without a port', { TEMPORAL_ADDRESS: '127.0.0.1' }, /TEMPORAL_ADDRESS: .*host:port/],
    ['tls that is neither', { TEMPORAL_TLS: 'maybe' }, /TEMPORAL_TLS: must be on or off/],
    ['a database URL of another kind', { DATABASE_URL: 'mysql://edgeml_app@db/x' }, /DATABASE_URL: must be a URL/],
    [
      'a password that is not percent-encoded',
      { DATABASE_URL: 'postgresql://edgeml_app:a/b@127.0.0.1/x' },
      /DATABASE_URL: .*percent-encoded or in DATABASE_PASSWORD/,
    ],
    [
      'a % that begins no escape',
      { DATABASE_MIGRATE_URL: 'postgresql://postgres:100%@127.0.0.1/x' },
      /DATABASE_MIGRATE_URL: has a % .*%25, or give the password in DATABASE_MIGRATE_PASSWORD/,
    ],
    ['migrations by the app', { DATABASE_MIGRATE_URL: LEAST.DATABASE_URL }, /DATABASE_MIGRATE_URL: .*never edgeml_app/],
    ['an upload limit below 1 KiB', { MAX_UPLOAD_BYTES: '12' }, /MAX_UPLOAD_BYTES: must be an integer/],
    ['an origin with a path', { EDGEML_CORS_ORIGINS: 'https://a.example/x' }, /EDGEML_CORS_ORIGINS: must be origins/],
    ['an origin that is a name', { EDGEML_CORS_ORIGINS: 'https://a.example, b.example' }, /EDGEML_CORS_ORIGINS: must/],
    ['any origin among others', { EDGEML_CORS_ORIGINS: 'https://a.example,*' }, /EDGEML_CORS_ORIGINS: is \* alone/],
    ['a public address that is none', { PUBLIC_URL: 'example.com' }, /PUBLIC_URL: must be a URL/],
    ['a key file that is not there', { EDGEML_BOOTSTRAP_KEY_FILE: '/nowhere/key' }, /cannot be read/],
    ['a secret file that is not there', { EDGEML_SECRET_FILE: '/nowhere/secret' }, /cannot be read/],
  ])('refuses %s', (_, env, why) => {
    expect(() => read(env)).toThrow(why);
  });

  it('takes another machine over TLS, with an API key, or in the clear if that is said', () => {
    const remote = { TEMPORAL_ADDRESS: 'temporal.example:7233' };
    expect(read({ ...remote, TEMPORAL_TLS: 'on' }).temporal.tls).toBe(true);
    expect(read({ ...remote, TEMPORAL_API_KEY: 'k' }).temporal).toMatchObject({ tls: true, apiKey: 'k' });
    expect(read({ ...remote, TEMPORAL_TLS: 'off' }).temporal.tls).toBe(false);
  });

  it('takes an ek_test_ key on loopback only', () => {
    const key = { EDGEML_BOOTSTRAP_KEY_FILE: at('test.key') };
    expect(read(key).bootstrapKeyFile).toBe(at('test.key'));
    for (const exposed of [{ HTTP_HOST: '0.0.0.0' }, { HTTP_HOST: '::' }, { PUBLIC_URL: 'https://edgeml.example' }]) {
      expect(() => read({ ...key, ...exposed })).toThrow(/ek_test_ key, which works on loopback only/);
      expect(read({ ...exposed, EDGEML_BOOTSTRAP_KEY_FILE: at('live.key') }).bootstrapKeyFile).toBe(at('live.key'));
    }
  });

  it('refuses a key and a secret that are too short', () => {
    expect(() => read({ EDGEML_BOOTSTRAP_KEY_FILE: at('short.key') })).toThrow(/32 characters/);
    expect(() => read({ EDGEML_SECRET_FILE: at('short-secret') })).toThrow(/32 random bytes/);
    expect(read({ EDGEML_SECRET_FILE: at('secret') }).secretFile).toBe(at('secret'));
  });
});

describe('what else is read', () => {
  it('tells this machine from others', () => {
    expect(['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]'].filter(isLoopbackHost)).toHaveLength(5);
    expect(
      ['0.0.0.0', '::', '10.0.0.1', 'localhost.example', '127.0.0.1.example', 'nats'].filter(isLoopbackHost),
    ).toEqual([]);
  });

  it('switches a part of the stack off with its variable, and takes along what belongs to it', () => {
    const settings = readDevSettings({
      TEMPORAL_ADDRESS: 'a:1',
      TEMPORAL_API_KEY: 'k',
      DATABASE_MIGRATE_URL: 'alone',
      PATH: '/bin',
    });
    expect(settings.external).toEqual({ TEMPORAL_ADDRESS: 'a:1', TEMPORAL_API_KEY: 'k' });
    expect(settings.path).toBe('/bin');
  });

  it('gives a child our environment and what it is told on top', () => {
    expect(childEnvironment({ B: '2', C: undefined }, { A: '1', B: '1' })).toEqual({ A: '1', B: '2' });
  });

  it('gives one that only reads Postgres what its driver needs, and no secret of ours', () => {
    const driver = { PGSSLROOTCERT: '/ca.pem', PGPASSFILE: '/pass', HOME: '/home/a', NODE_EXTRA_CA_CERTS: '/ca.pem' };
    const ours = { ...LEAST, EDGEML_SECRET_FILE: '/secret', TEMPORAL_API_KEY: 'k', NODE_OPTIONS: '--inspect' };
    expect(driverEnvironment({ ...ours, ...driver })).toEqual(driver);
  });
});
