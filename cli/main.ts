/** The `edgeml` command. */
import { Command, CommanderError } from 'commander';
import { addAdminCommands } from './commands/admin.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addDeviceCommands } from './commands/device.ts';
import { addModelCommands } from './commands/model.ts';
import { addOrgCommands } from './commands/org.ts';
import { addRolloutCommands } from './commands/rollout.ts';
import { addTrainCommands } from './commands/train.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { addGlobalFlags } from './globals.ts';
import { interrupt } from './waiting.ts';

const COMMANDS: readonly ((program: Command) => void)[] = [
  addModelCommands,
  addTrainCommands,
  addRolloutCommands,
  addAuditCommands,
  addAdminCommands,
  addOrgCommands,
  addDeviceCommands,
];

/** @param commands those of this build, unless a test brings its own */
export function createProgram(commands = COMMANDS): Command {
  const program = addGlobalFlags(new Command('edgeml'))
    .description('models on devices: train, publish, roll out, watch, roll back, replay')
    .exitOverride()
    .showHelpAfterError('(add --help for examples)');
  for (const add of commands) add(program);
  for (const command of everyCommand(program)) command.exitOverride();
  return program;
}

/** The whole tree below a command. */
export const everyCommand = (command: Command): Command[] => command.commands.flatMap((c) => [c, ...everyCommand(c)]);

/** Runs one command line. @returns the exit code */
export async function main(argv: readonly string[], program = createProgram()): Promise<number> {
  const before = process.exitCode;
  process.exitCode = undefined; // an action sets it where the outcome is not plain
  process.on('SIGINT', interrupt);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    for (const text of explain(error)) process.stderr.write(`${text}\n`);
    return exitCodeOf(error);
  } finally {
    process.off('SIGINT', interrupt);
    process.exitCode = before;
  }
}
