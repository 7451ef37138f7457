/** How long a start may take: as long as it says what it is at, and not when it says nothing. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../test/contract/testApi.ts';
import { testHome } from '../test/support/services.ts';
import { isAlive, type Identity } from './processes.ts';
import { askReady } from './programs.ts';
import { Supervised } from './supervise.ts';

const SILENCE_MS = 600;
let supervised: Supervised | undefined;
afterEach(() => supervised?.stop('SIGKILL'));

/** A server that answers `/readyz` as told: each answer is a status and a body. */
async function supervise(script: string) {
  const home = testHome('supervise');
  mkdirSync(home, { recursive: true });
  const port = await freePort();
  const seen: Identity[] = [];
  const notes: string[] = [];
  const code = `
    const began = Date.now();
    const answer = (response, status, body) => response.writeHead(status).end(JSON.stringify(body));
    require('node:http').createServer((request, response) => { ${script} }).listen(${port}, '127.0.0.1')`;
  supervised = new Supervised(
    {
      name: 'server',
      log: join(home, 'server.log'),
      program: () => ({ file: process.execPath, args: ['--eval', code] }),
      isReady: () => askReady(`http://127.0.0.1:${port}`),
      silenceMs: SILENCE_MS,
    },
    {
      onProcess: (identity) => void (identity && seen.push(identity)),
      onGaveUp: () => undefined,
      note: (line) => notes.push(line),
      countsCrashes: () => true,
    },
  );
  return { service: supervised, seen, notes };
}

describe('a start', () => {
  it('may take longer than the longest silence, where the program says what it is at', async () => {
    const { service, seen, notes } = await supervise(`
      if (Date.now() - began > ${4 * SILENCE_MS}) answer(response, 200, { status: 'ok', parts: [] });
      else answer(response, 503, { status: 'starting', parts: [{ name: 'database', state: 'starting', detail: 'is migrated' }] });`);
    await service.start();
    expect(service.isUp).toBe(true);
    expect(seen).toHaveLength(1);
    expect(notes).toEqual(['server is starting: database is migrated']);
  });

  it.each([
    ['nothing', ''],
    ['that another part is down', `answer(response, 503, { status: 'down', parts: [] });`],
    ['what no server of ours says', `response.writeHead(503).end('<html>');`],
  ])('is ended where it says %s', async (_what, script) => {
    const { service, seen } = await supervise(script);
    await expect(service.start()).rejects.toThrow('said nothing for 0.6 s');
    expect(seen.map(isAlive)).toEqual([false]);
  });
});
