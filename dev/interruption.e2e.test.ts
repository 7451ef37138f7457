/** Ctrl-C while it starts: no process, no lock, no record is left. The other moments are in the slow suite. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testHome } from '../test/support/services.ts';
import { interrupted, type Left } from './interruption.fixture.ts';

const NOTHING: Partial<Left> = { processes: [], lock: false, record: false };
const run = (file: string) => [process.execPath, 'dev/run.mjs', file] as const;

describe('Ctrl-C', { timeout: 120_000 }, () => {
  it('while Postgres initialises, from a terminal, twice', async () => {
    const home = testHome('ctrl-c');
    const left = await interrupted({
      command: run('dev/start.ts'),
      home,
      moment: ({ here }) => here.some((line) => line.includes('initdb')),
      reach: 'group',
      times: 2,
    });
    expect(left, left.printed).toMatchObject({ ...NOTHING, code: 130 });
  });

  it('while the services of npm start come up, to one process', async () => {
    const home = testHome('ctrl-c');
    const command = run('dev/start.ts');
    const left = await interrupted({ command, home, moment: ({ services }) => services >= 2, reach: 'process' });
    expect(left, left.printed).toMatchObject({ ...NOTHING, code: 130 });
  });

  it('while the services of the demo come up, from a terminal', async () => {
    const home = testHome('ctrl-c');
    const left = await interrupted({
      command: run('dev/demo.ts'),
      home,
      stackHome: join(home, 'demo'),
      moment: ({ services }) => services >= 2,
      reach: 'group',
    });
    expect(left, left.printed).toMatchObject({ ...NOTHING, code: 130 });
  });
});
