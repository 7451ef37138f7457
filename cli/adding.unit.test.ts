/** The recipe "A CLI command" of docs/adding.md, with a command that is in no build. */
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from './exit.ts';
import { session } from './commands/shared.ts';
import { uses } from './globals.ts';
import { createProgram } from './main.ts';
import { argument, name } from './parse.ts';
import { startRecorder, type Recorder } from './recorder.fixture.ts';

function addFakeCommands(program: Command): void {
  const fake = program.command('fake').description('a command of a test');
  uses(fake.command('show'), 'asOf')
    .addArgument(argument('thing', 'its name', name))
    .description('one thing')
    .action(async (thing: string, _o: unknown, command: Command) => {
      const { out, http, asOf } = session(command);
      const found = await http.json<{ version: string }>('GET', `/lifecycle/v1/fakes/${thing}`, {
        query: { as_of: asOf.asOf },
      });
      out.show({ found: found.version }, () => [`${thing} ${found.version}`], thing);
    });
}

let recorder: Recorder;
beforeAll(async () => {
  recorder = await startRecorder();
});
afterAll(() => recorder.close());
const run = (...argv: string[]) => recorder.run(argv, { program: createProgram([addFakeCommands]) });

describe('a command that is passed to the program', () => {
  it('asks the server with the key, and answers in every form', async () => {
    const text = await run('fake', 'show', 'a', '--as-of', '7');
    expect(text).toMatchObject({ code: EXIT.done, out: 'a 1.0.0\n' });
    expect(text.seen).toMatchObject([
      { method: 'GET', path: '/lifecycle/v1/fakes/a', query: { as_of: '7' }, authorization: 'Bearer ek_given' },
    ]);
    expect(JSON.parse((await run('fake', 'show', 'a', '-o', 'json')).out)).toEqual({ found: '1.0.0' });
    expect((await run('fake', 'show', 'a', '-o', 'name')).out).toBe('a\n');
  });

  it('refuses a flag that it does not use, and a missing argument, before anything is asked', async () => {
    for (const argv of [['a', '--timeout', '5s'], []]) {
      expect(await run('fake', 'show', ...argv)).toMatchObject({ code: EXIT.usage, seen: [] });
    }
  });
});
