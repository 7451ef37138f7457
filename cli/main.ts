/** The `edgeml` command. */
import { Command, CommanderError, Option } from 'commander';
import { addAuditCommands } from './commands/audit.ts';
import { addModelCommands } from './commands/model.ts';
import { addRolloutCommands } from './commands/rollout.ts';
import { addTrainCommands } from './commands/train.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';

export function createProgram(): Command {
  const program = new Command('edgeml')
    .description('models on devices: train, publish, roll out, watch, roll back, replay')
    .option('--url <url>', 'server (EDGEML_URL, or the nearest .edgeml/stack.json)')
    .option('--key-file <file>', 'file with the API key, - for stdin (EDGEML_API_KEY)')
    .addOption(
      new Option('-o, --output <format>', 'form of the answer')
        .choices(['text', 'json', 'jsonl', 'name'])
        .default('text'),
    )
    .option('--as-of <place>', 'read as of a position, event:<id> or a time')
    .option('-y, --yes', 'do not ask')
    .option('--timeout <duration>', 'give up waiting after it, with exit 5')
    .option('--no-progress', 'no bars')
    .exitOverride()
    .showHelpAfterError('(add --help for examples)');
  addModelCommands(program);
  addTrainCommands(program);
  addRolloutCommands(program);
  addAuditCommands(program);
  for (const command of everyCommand(program)) command.exitOverride();
  return program;
}

const everyCommand = (command: Command): Command[] => command.commands.flatMap((c) => [c, ...everyCommand(c)]);

/** Runs one command line. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  process.on('SIGINT', () => process.exit(EXIT.interrupted));
  try {
    await createProgram().parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    for (const text of explain(error)) process.stderr.write(`${text}\n`);
    return exitCodeOf(error);
  }
}
