/** docker-compose.yml, .env.example and config.ts and dev/settings.ts name the same variables and ports. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import pg from 'pg';
import { parse } from 'yaml';
import { readConfig } from '../config.ts';
import { readDevSettings } from '../dev/settings.ts';
import type { Environment } from '../environment.ts';
import { PREFERRED_PORTS } from '../dev/stackFile.ts';

const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: unknown;
}
// The shape docker compose reads; each test below would fail on another.
const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const example = new Map(
  read('.env.example')
    .split('\n')
    .filter((line) => /^[A-Z_]+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);
const COMPOSE_ONLY = ['POSTGRES_PASSWORD', 'EDGEML_APP_PASSWORD', 'TEMPORAL_POSTGRES_PASSWORD'];

/** The names a reader asks for, not the names somebody says it asks for. */
function asked(reader: (env: Environment) => unknown): Set<string> {
  const names = new Set<string>();
  // Enough to be accepted, so that the reader goes to its end.
  const values: Environment = {
    DATABASE_URL: 'postgresql://edgeml_app@localhost/edgeml',
    DATABASE_MIGRATE_URL: 'postgresql://postgres@localhost/edgeml',
    NATS_URL: 'nats://localhost',
    TEMPORAL_ADDRESS: 'localhost:7403',
  };
  reader(new Proxy(values, { get: (target, name) => (names.add(String(name)), target[String(name)]) }));
  return names;
}
const product = asked(readConfig);
const all = new Set([...product, ...asked(readDevSettings)]);
all.delete('PATH');

describe('.env.example', () => {
  it('names what config.ts and dev/settings.ts read and what compose needs, and nothing else', () => {
    expect([...example.keys()].sort()).toEqual([...all, ...COMPOSE_ONLY].sort());
  });

  it('has a comment above each group of lines', () => {
    const lines = read('.env.example').split('\n');
    const bare = lines.filter((line, i) => /^[A-Z_]+=/.test(line) && lines[i - 1] === '');
    expect(bare).toEqual([]);
  });

  it('is a configuration that starts against what compose publishes', () => {
    const config = readConfig(Object.fromEntries(example));
    expect(config.http).toMatchObject({ port: PREFERRED_PORTS.api });
    expect(new URL(config.database.url).port).toBe(String(PREFERRED_PORTS.postgres));
    expect(new URL(config.nats.url).port).toBe(String(PREFERRED_PORTS.nats));
    expect(config.temporal.address).toBe(`127.0.0.1:${PREFERRED_PORTS.temporal}`);
    expect(config.workerMetricsPort).toBe(PREFERRED_PORTS.worker_metrics);
    expect(new URL(config.database.url).password).toBe(example.get('EDGEML_APP_PASSWORD'));
    expect(new URL(config.database.migrateUrl ?? '').password).toBe(example.get('POSTGRES_PASSWORD'));
  });
});

describe('docker-compose.yml', () => {
  it('publishes the ports that npm start prefers, on this machine only', () => {
    const published = Object.entries(compose.services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${port}`),
    );
    const { api, postgres, nats, nats_monitor, temporal, temporal_ui, worker_metrics } = PREFERRED_PORTS;
    expect(published.sort()).toEqual(
      [
        `nats 127.0.0.1:${nats}:4222`,
        `nats 127.0.0.1:${nats_monitor}:8222`,
        `postgres 127.0.0.1:${postgres}:5432`,
        `server 127.0.0.1:${api}:7400`,
        `temporal 127.0.0.1:${temporal}:7233`,
        `temporal-ui 127.0.0.1:${temporal_ui}:8080`,
        `worker 127.0.0.1:${worker_metrics}:7423`,
      ].sort(),
    );
  });

  it('gives server and worker names that config.ts reads, and all that they need', () => {
    for (const name of ['server', 'worker']) {
      const given = Object.keys(compose.services[name]?.environment ?? {});
      expect(given.filter((variable) => !product.has(variable))).toEqual([]);
      const left = [...product].filter((variable) => !given.includes(variable)).sort();
      const others =
        name === 'server'
          ? ['WORKER_METRICS_PORT']
          : [
              'DATABASE_MIGRATE_URL',
              'DATABASE_MIGRATE_PASSWORD',
              'EDGEML_CORS_ORIGINS',
              'EDGEML_RATE_LIMIT',
              'EDGEML_DEVICE_AUTH',
            ];
      expect(left).toEqual([...others, 'TEMPORAL_API_KEY'].sort());
    }
  });

  it('substitutes only what .env.example names', () => {
    const names = [...read('docker-compose.yml').matchAll(/(?<!\$)\$\{([A-Z_]+)/g)].map((match) => match[1] ?? '');
    expect(names.length).toBeGreaterThan(10);
    expect([...new Set(names)].filter((name) => !example.has(name))).toEqual([]);
  });

  /** What the server reads where `.env` holds these values beside those of the example. */
  const started = (values: Readonly<Record<string, string>> = {}) => {
    const filled = Object.entries(compose.services['server']?.environment ?? {}).map(([name, value]) => [
      name,
      String(value).replace(/\$\{([A-Z_]+)(?::-([^}]*)|:\?[^}]*)?\}/g, (_, variable: string, otherwise = '') =>
        String((values[variable] ?? example.get(variable)) || otherwise),
      ),
    ]);
    const env = Object.fromEntries(filled) as Environment; // pairs of strings, made just above
    return readConfig({ ...env, EDGEML_BOOTSTRAP_KEY_FILE: '', EDGEML_SECRET_FILE: '' });
  };

  it.each(['a/b', 'a@b', 'a#b', 'a?b=c', '100%', 'a%2Fb', 'a:b', '/', ' a b ', '[::1]', "quote'd", 'é€😀', '\\'])(
    'takes the password %j',
    (password) => {
      const { database } = started({ EDGEML_APP_PASSWORD: password, POSTGRES_PASSWORD: password });
      for (const address of [database.url, database.migrateUrl ?? '']) {
        expect(new pg.Client({ connectionString: address })).toMatchObject({
          password,
          host: 'postgres',
          port: 5432,
          database: 'edgeml',
        });
        expect(decodeURIComponent(new URL(address).password)).toBe(password);
      }
    },
  );

  it('is a configuration that starts, once its variables are filled in', () => {
    const config = started();
    expect(config.http).toEqual({ host: '0.0.0.0', port: 7400, publicUrl: 'http://127.0.0.1:7400', corsOrigins: [] });
    expect(config.temporal).toMatchObject({ address: 'temporal:7233', tls: false });
    expect(config.database.url).toBe('postgresql://edgeml_app:change-me-app@postgres:5432/edgeml');
  });

  it("keeps Temporal's database in another cluster than the log's", () => {
    const { temporal, postgres, 'temporal-postgres': own } = compose.services;
    expect(temporal?.environment?.['POSTGRES_SEEDS']).toBe('temporal-postgres');
    expect(own?.volumes).not.toEqual(postgres?.volumes);
    expect([own?.image, postgres?.image]).toEqual(['postgres:16', 'postgres:16']);
    expect(compose.services['nats']?.command).toContain('--jetstream');
  });

  it('runs the two programs this repository has', () => {
    expect(compose.services['server']?.command).toEqual(['server.js']);
    expect(compose.services['worker']?.command).toEqual(['worker.js']);
    expect(read('server.ts') && read('worker.ts')).toBeTruthy();
  });
});
