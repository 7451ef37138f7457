/** The embedded stack starts, survives kills, cleans up after a dead launcher, and stops. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isWellFormed } from '../store/keys/keyFormat.ts';
import { until } from '../test/support/log.ts';
import { testHome } from '../test/support/services.ts';
import { accepts } from './ports.ts';
import { withAdmin } from './postgres.ts';
import { identify, isAlive, type Identity } from './processes.ts';
import type { CommandOverride } from './programs.ts';
import { CHECKOUT } from './reach.ts';
import { removeHome, startStack, StackIsRunning, type Stack } from './stack.ts';
import type { StackOptions } from './stackParts.ts';
import { endLeftovers, readStack, writeStack } from './stackFile.ts';

const open: { stack?: Stack; home: string }[] = [];
const launchers: ChildProcess[] = [];
const said: string[] = [];
async function start(options: Partial<StackOptions> & { home?: string } = {}): Promise<Stack> {
  const home = options.home ?? testHome('stack');
  const entry: (typeof open)[number] = { home };
  open.push(entry);
  entry.stack = await startStack({ external: {}, durable: false, say: (line) => said.push(line), ...options, home });
  return entry.stack;
}
afterEach(async () => {
  for (const launcher of launchers.splice(0)) launcher.kill('SIGKILL');
  for (const { stack, home } of open.splice(0).reverse()) {
    await stack?.stop();
    await endLeftovers(home);
    removeHome(home);
  }
  said.length = 0;
});

/** A program in the place of the server or the worker; `ready` once its file is there. */
function standIn(home: string, name: string, code: string): CommandOverride {
  const file = join(home, `${name}.mark`);
  const head = `import { appendFileSync, rmSync } from 'node:fs'; import { connect } from 'node:net';
    const mark = (text) => appendFileSync(${JSON.stringify(file)}, text + '\\n'); mark('up ' + process.pid);`;
  return {
    args: ['--input-type=module', '--eval', `${head}\n${code}`],
    isReady: (pid) => Promise.resolve(existsSync(file) && readFileSync(file, 'utf8').includes(`up ${pid}\n`)),
  };
}
const marks = (home: string, name: string): string[] =>
  readFileSync(join(home, `${name}.mark`), 'utf8')
    .trim()
    .split('\n');
/** Stays, and at SIGTERM notes which of the given ports still answer. */
const STAYS = (portsOf: string): string => `setInterval(() => {}, 1e6);
  const answers = (port) => new Promise((r) => { const s = connect(port, '127.0.0.1', () => { s.destroy(); r('up'); }).on('error', () => r('down')); });
  process.on('SIGTERM', async () => { for (const p of ${portsOf}) mark(await answers(p)); process.exit(0); });`;
const DATABASE_PORT = `[new URL(process.env.DATABASE_URL).port]`;

const mode = (file: string): number => statSync(file).mode & 0o777;
const identities = (stack: Stack): Record<string, Identity> => ({ ...stack.record().services }); // all are up
/** A launcher of its own, in another process, that prints `ready` and stays. */
async function launcherProcess(
  options: StackOptions,
  as: { uid?: number; gid?: number } = {},
  cwd = CHECKOUT,
): Promise<ChildProcess> {
  const code = `import { startStack } from './dev/stack.ts';
    const stack = await startStack({ ...${JSON.stringify(options)}, external: {}, say: (line) => console.error(line) });
    process.on('SIGTERM', async () => { await stack.stop(); process.exit(0); });
    console.log('ready'); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], { cwd, ...as });
  launchers.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(
    `the launcher is ready: ${output}`,
    () => {
      if (child.exitCode !== null) throw new Error(`the launcher ended:\n${output}`);
      return output.includes('ready\n');
    },
    40_000,
  );
  said.push(...output.split('\n'));
  return child;
}

describe('a whole stack', () => {
  it('starts, tells where it is, comes back after every kill with its data, and stops in order', async () => {
    const home = testHome('stack');
    mkdirSync(home, { recursive: true });
    const stack = await start({
      home,
      commands: {
        server: standIn(home, 'server', STAYS(DATABASE_PORT)),
        worker: standIn(home, 'worker', STAYS(`[...${DATABASE_PORT}, process.env.TEMPORAL_ADDRESS.split(':')[1]]`)),
      },
    });
    const record = readStack(home);
    expect(record).toMatchObject({
      state: 'ready',
      url: stack.url,
      key_file: stack.keyFile,
      ports: stack.ports,
      env: stack.env,
    });
    expect(Object.keys(record?.pids ?? {}).sort()).toEqual([
      'launcher',
      'nats',
      'postgres',
      'server',
      'temporal',
      'worker',
    ]);
    expect(record?.versions).toMatchObject({ postgres: '18.4', node: process.versions.node });
    for (const file of ['stack.json', 'admin.key', 'secret', 'postgres.json'])
      expect(mode(join(home, file))).toBe(0o600);
    expect(isWellFormed(readFileSync(stack.keyFile, 'utf8').trim())).toBe(true);
    expect(readFileSync(join(home, 'secret'))).toHaveLength(32);

    await withAdmin(stack.cluster!.adminUrl(), (db) => db.query('CREATE TABLE kept AS SELECT 42 AS answer'));
    for (const name of ['server', 'worker', 'nats', 'temporal', 'postgres'] as const) {
      const before = identities(stack)[name]!;
      await stack.kill(name);
      expect(isAlive(before)).toBe(false);
      await stack.ready(name);
      expect(identities(stack)[name]!.pid).not.toBe(before.pid);
      expect(readStack(home)?.pids[name]).toBe(identities(stack)[name]!.pid);
    }
    const kept = await withAdmin(stack.cluster!.adminUrl(), (db) => db.query('SELECT answer FROM kept'));
    expect(kept.rows).toEqual([{ answer: 42 }]);

    const all = Object.values(identities(stack));
    await stack.stop();
    expect(all.filter(isAlive)).toEqual([]);
    expect(marks(home, 'server').at(-1)).toBe('up');
    expect(marks(home, 'worker').slice(-2)).toEqual(['up', 'up']);
    expect(existsSync(join(home, 'stack.json'))).toBe(false);
  });

  it('has the same data after a stop and a start, none after a fresh one, and nothing once its home is removed', async () => {
    const home = testHome('stack');
    const first = await start({ home, services: ['postgres'] });
    const { data } = first.cluster!;
    const key = readFileSync(first.keyFile, 'utf8');
    await withAdmin(first.cluster!.adminUrl(), (db) => db.query('CREATE TABLE kept AS SELECT 42 AS answer'));
    await first.stop();
    const second = await start({ home, services: ['postgres'] });
    expect(second.cluster!.data).toBe(data);
    expect(readFileSync(second.keyFile, 'utf8')).toBe(key);
    const { rows } = await withAdmin(second.cluster!.adminUrl(), (db) => db.query('SELECT answer FROM kept'));
    expect(rows).toEqual([{ answer: 42 }]);
    await second.stop();
    const third = await start({ home, services: ['postgres'], fresh: true });
    await expect(withAdmin(third.cluster!.adminUrl(), (db) => db.query('SELECT answer FROM kept'))).rejects.toThrow(
      /kept/,
    );
    await third.stop();
    removeHome(home);
    expect([existsSync(data), existsSync(home)]).toEqual([false, false]);
  });

  it('keeps a service down when told, and wipes Temporal only then', async () => {
    const stack = await start({ services: ['nats', 'temporal'] });
    expect(() => stack.wipeTemporal()).toThrow(/running/);
    await stack.stopService('temporal', 'SIGKILL');
    await stack.stopService('nats');
    expect([await accepts(stack.ports.temporal), await accepts(stack.ports.nats)]).toEqual([false, false]);
    stack.wipeTemporal();
    expect(readdirSync(join(stack.home, 'temporal'))).toEqual(['temporal.version']);
    await stack.startService('temporal');
    await stack.startService('nats');
    expect([await accepts(stack.ports.temporal), await accepts(stack.ports.nats)]).toEqual([true, true]);
  });

  it('leaves out a part that runs elsewhere, and passes on where', async () => {
    const home = testHome('stack');
    mkdirSync(home, { recursive: true });
    const external = { NATS_URL: 'nats://127.0.0.1:1', TEMPORAL_ADDRESS: 'far.example:7233', TEMPORAL_API_KEY: 'k' };
    const code = `mark([process.env.NATS_URL, process.env.TEMPORAL_ADDRESS, process.env.TEMPORAL_API_KEY].join()); setInterval(() => {}, 1e6)`;
    const stack = await start({
      home,
      services: ['nats', 'temporal', 'server'],
      external,
      commands: { server: standIn(home, 'server', code) },
    });
    expect(Object.keys(stack.record().services)).toEqual(['server']);
    await until('it has said its environment', () => marks(home, 'server').length === 2);
    expect(marks(home, 'server')[1]).toBe('nats://127.0.0.1:1,far.example:7233,k');
  });
});

describe('what fails', () => {
  it('gives up after five crashes in a minute, and shows the log', async () => {
    const home = testHome('stack');
    mkdirSync(home, { recursive: true });
    const code = `setTimeout(() => { console.error('this is why'); process.exit(3); }, 200)`;
    const stack = await start({ home, services: ['server'], commands: { server: standIn(home, 'server', code) } });
    const why = await stack.gaveUp;
    expect(why).toMatch(/^server ended 5 times in a minute, last with exit code 3[^]*this is why/);
    expect(marks(home, 'server')).toHaveLength(5);
    await expect(stack.ready('server')).rejects.toThrow('this is why');
  });

  it('refuses a start whose program ends before it is ready, and stops what it had started', async () => {
    const home = testHome('stack');
    const server = {
      args: ['--eval', `console.error('no such luck'); process.exit(7)`],
      isReady: () => Promise.resolve(false),
    };
    await expect(start({ home, services: ['nats', 'server'], commands: { server } })).rejects.toThrow(
      /exit code 7[^]*no such luck/,
    );
    expect(readStack(home)).toBeUndefined();
    const again = await start({ home, services: ['nats'] });
    expect(identities(again)['nats']).toBeDefined();
  });

  it('refuses a second launcher of the same home, and says who has it', async () => {
    const stack = await start({ services: ['nats'] });
    const second = await startStack({ home: stack.home, services: ['nats'] }).catch((error: unknown) => error);
    expect(second).toBeInstanceOf(StackIsRunning);
    expect(second).toMatchObject({ launcher: { pid: process.pid }, record: { url: stack.url } });
  });
});

describe('what a killed launcher left', () => {
  it('is ended and started afresh; a process that only has the same number is left alone', async () => {
    const home = testHome('stack');
    const launcher = await launcherProcess({ home, services: ['nats', 'postgres'], durable: false });
    const left = readStack(home)!.services;
    launcher.kill('SIGKILL');
    await once(launcher, 'exit');
    expect([isAlive(left.nats!), isAlive(left.postgres!)]).toEqual([true, true]);
    const bystander = spawn('sleep', ['1000']);
    const me = identify(bystander.pid!)!;
    writeStack(home, {
      ...readStack(home)!,
      services: { ...left, worker: { ...left.nats!, pid: me.pid, started: 'earlier' } },
    });
    const stack = await start({ home, services: ['nats', 'postgres'] });
    expect([isAlive(left.nats!), isAlive(left.postgres!)]).toEqual([false, false]);
    expect(isAlive(me)).toBe(true);
    expect(said).toContain('Ended what an earlier launcher left: nats, postgres.');
    expect(Object.keys(identities(stack)).sort()).toEqual(['nats', 'postgres']);
    bystander.kill();
  });
});

describe("Temporal's file", () => {
  it('is moved aside where it is of another version or cannot be opened', async () => {
    const home = testHome('stack');
    const first = await start({ home, services: ['temporal'] });
    await first.stop();
    const folder = join(home, 'temporal');
    const version = readFileSync(join(folder, 'temporal.version'), 'utf8');
    writeFileSync(join(folder, 'temporal.version'), '1.5.1\n');
    const second = await start({ home, services: ['temporal'] });
    await second.stop();
    const aside = (): string[] => readdirSync(folder).filter((name) => /^temporal\.db\.2/.test(name));
    expect(aside()).toHaveLength(1);
    expect(readFileSync(join(folder, 'temporal.version'), 'utf8')).toBe(version);

    writeFileSync(join(folder, 'temporal.db'), 'not a database at all '.repeat(500));
    for (const part of ['temporal.db-wal', 'temporal.db-shm']) writeFileSync(join(folder, part), '');
    await start({ home, services: ['temporal'] });
    expect(aside()).toHaveLength(2);
    expect(said.filter((line) => line.startsWith("Temporal's file"))).toHaveLength(2);
  });
});
