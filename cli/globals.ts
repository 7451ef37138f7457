/** The flags of every command. Each command says which of them it uses; one that it does not use is refused, never dropped. */
import { Option, type Command } from 'commander';
import { CliError, EXIT } from './exit.ts';
import { address, durationFlag, momentInLog, text, valued } from './parse.ts';

/** Used by some commands only; `--url`, `--key-file` and `-o` by all. */
export type SomeUse = 'asOf' | 'yes' | 'timeout' | 'progress';

const WHY: Readonly<Record<SomeUse, readonly [flag: string, why: string]>> = {
  asOf: ['--as-of', 'it does not read as of a place in the log'],
  yes: ['--yes', 'it asks nothing'],
  timeout: ['--timeout', 'it does not wait'],
  progress: ['--no-progress', 'it shows no progress'],
};

const used = new WeakMap<Command, ReadonlySet<SomeUse>>();

/** Says which flags a command uses. `waits`: `--timeout` and `--no-progress`. */
export function uses<C extends Command>(command: C, ...flags: readonly (SomeUse | 'waits')[]): C {
  used.set(command, new Set(flags.flatMap((f): SomeUse[] => (f === 'waits' ? ['timeout', 'progress'] : [f]))));
  return command;
}

export function addGlobalFlags(program: Command): Command {
  return program
    .addOption(valued('--url <url>', 'server (EDGEML_URL, or the nearest .edgeml/stack.json)', address))
    .addOption(valued('--key-file <file>', 'file with the API key, - for stdin (EDGEML_API_KEY)', text))
    .addOption(
      new Option('-o, --output <format>', 'form of the answer')
        .choices(['text', 'json', 'jsonl', 'name'])
        .default('text'),
    )
    .addOption(valued('--as-of <place>', 'read as of a position, event:<id> or a time', momentInLog))
    .option('-y, --yes', 'do not ask')
    .addOption(valued('--timeout <duration>', 'give up waiting after it, with exit 5', durationFlag))
    .option('--no-progress', 'no bars')
    .hook('preAction', (_, command) => {
      for (const flag of Object.keys(WHY) as SomeUse[]) {
        if (used.get(command)?.has(flag) !== true) refuseFlag(command, flag);
      }
    });
}

/** Refuses a flag that the command uses in another form only. @throws CliError `usage` if it was given */
export function refuseFlag(command: Command, flag: SomeUse, because?: string): void {
  if (command.getOptionValueSourceWithGlobals(flag) !== 'cli') return;
  const [shown, why] = WHY[flag];
  throw new CliError(`${wordsOfCommand(command)} takes no ${shown}: ${because ?? why}`, EXIT.usage);
}

/** The words of a command, such as `rollout status`. */
export function wordsOfCommand(command: Command): string {
  const above = command.parent;
  return above?.parent ? `${wordsOfCommand(above)} ${command.name()}` : command.name();
}
