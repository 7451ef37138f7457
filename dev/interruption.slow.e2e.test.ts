/** Ctrl-C and `kill` at the later moments of `npm start` and of the demo, with npm in between: nothing is left. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testHome } from '../test/support/services.ts';
import { interrupted, type Launch, type Left } from './interruption.fixture.ts';

const NOTHING: Partial<Left> = { processes: [], lock: false, record: false };
/** npm ends itself by the signal that it was sent, which a shell shows as 128 and its number: 130 for Ctrl-C. */
const endOf = ({ code, ended }: Left) => code ?? ended;
const start: Launch['command'] = ['npm', 'start'];
const demo: Launch['command'] = ['npm', 'run', 'demo'];
const said =
  (text: RegExp): Launch['moment'] =>
  (now) =>
    text.test(now.printed);

describe('nothing is left', { timeout: 300_000 }, () => {
  it.each<[string, Omit<Launch, 'home'>]>([
    ['of npm start at its first word, to npm', { command: start, moment: said(/^Starting/m), reach: 'process' }],
    [
      'of npm start by SIGTERM to npm while services come up',
      { command: start, moment: (now) => now.services >= 1, reach: 'process', signal: 'SIGTERM' },
    ],
    ['of npm start while the server comes up', { command: start, moment: (now) => now.services >= 4, reach: 'group' }],
    ['of npm start once it is ready', { command: start, moment: said(/^Ready\./m), reach: 'group', times: 2 }],
    [
      'of a launcher that is to be detached',
      {
        command: [process.execPath, 'dev/run.mjs', 'dev/start.ts', '--detach'],
        moment: (now) => now.services >= 1,
        reach: 'group',
      },
    ],
    ['of the demo at its first word', { command: demo, moment: said(/starting Postgres/), reach: 'group' }],
    ['of the demo when its story begins, to npm', { command: demo, moment: said(/^1\. Create/m), reach: 'process' }],
    ['of the demo in the middle of its story', { command: demo, moment: said(/round 2/), reach: 'group', times: 2 }],
    [
      'of the demo by SIGTERM in its story',
      {
        command: [process.execPath, 'dev/run.mjs', 'dev/demo.ts'],
        moment: said(/round 1/),
        reach: 'process',
        signal: 'SIGTERM',
      },
    ],
  ])('%s', async (_, launch) => {
    const home = testHome('ctrl-c');
    const isDemo = launch.command.some((word) => word.includes('demo'));
    const left = await interrupted({ ...launch, home, ...(isDemo ? { stackHome: join(home, 'demo') } : {}) });
    expect(left, left.printed).toMatchObject(NOTHING);
    expect([130, launch.signal ?? 'SIGINT'], left.printed).toContain(endOf(left));
  });
});
