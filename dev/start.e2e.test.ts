/** `npm start` and `npm stop` as a person types them. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { childEnvironment } from '../environment.ts';
import { until } from '../test/support/log.ts';
import { testHome } from '../test/support/services.ts';
import { identify, isAlive, signal } from './processes.ts';
import { CHECKOUT } from './reach.ts';
import { removeHome } from './stack.ts';
import { readStack, type StackRecord } from './stackFile.ts';

const home = testHome('start');
const env = childEnvironment({ EDGEML_HOME: home, DATABASE_URL: '', NATS_URL: '', TEMPORAL_ADDRESS: '' });

/** As `npm start` and `npm stop` do it. */
function command(file: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['dev/run.mjs', file, ...args], { cwd: CHECKOUT, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

afterAll(async () => {
  await command('dev/stop.ts');
  removeHome(home);
});

describe('npm start and npm stop', () => {
  it('start the whole product once, keep it up, and leave nothing behind', async () => {
    const started = await command('dev/start.ts', '--json', '--detach');
    expect({ code: started.code, stderr: started.stderr }).toMatchObject({ code: 0 });
    const record = JSON.parse(started.stdout) as StackRecord; // printed by start.ts: the record as it is in the file
    expect(record).toEqual(readStack(home));
    expect(Object.keys(record.services).sort()).toEqual(['nats', 'postgres', 'server', 'temporal', 'worker']);
    expect((await fetch(`${record.url}/readyz`)).status).toBe(200);
    const key = readFileSync(record.key_file, 'utf8').trim();
    const me = (bearer: string) =>
      fetch(`${record.url}/lifecycle/v1/access/me`, { headers: { authorization: `Bearer ${bearer}` } });
    expect([(await me(key)).status, (await me(`${key.slice(0, -1)}_`)).status]).toEqual([200, 401]);

    const again = await command('dev/start.ts');
    expect(again.code).toBe(0);
    expect(again.stdout).toContain(`already running at ${record.url}`);
    expect(readStack(home)?.launcher).toEqual(record.launcher);

    signal(record.services.worker!, 'SIGKILL');
    await until('the worker is there again', () => {
      const worker = readStack(home)?.services.worker;
      return worker !== undefined && worker.pid !== record.services.worker!.pid;
    });

    const running = [record.launcher, ...Object.values(readStack(home)!.services)];
    const stopped = await command('dev/stop.ts');
    expect(stopped).toMatchObject({ code: 0, stdout: 'Stopped.\n' });
    expect(running.filter(isAlive)).toEqual([]);
    expect(existsSync(join(home, 'stack.json'))).toBe(false);
    expect((await command('dev/stop.ts')).stdout).toBe(`Nothing is running in ${home}.\n`);
    expect(identify(record.launcher.pid)?.started).not.toBe(record.launcher.started);
  });
});
