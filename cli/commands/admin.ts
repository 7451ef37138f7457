/** `edgeml admin`: what the operator of the instance does to the service itself. */
import type { Command } from 'commander';
import { uses } from '../globals.ts';
import { argument, name as oneName } from '../parse.ts';
import { waiting } from '../waiting.ts';
import { followed, session } from './shared.ts';

export function addAdminCommands(program: Command): void {
  const admin = program.command('admin').description('the service itself; needs the role instance');

  uses(admin.command('rebuild'), 'waits')
    .addArgument(argument('name', 'catalog, versions, rollouts, training, pointers or activity', oneName))
    .description('make a read model again from the log; readers see the old one until then')
    .action(async (name: string, _o: unknown, command: Command) => {
      const s = session(command);
      const limits = {
        timeoutMs: s.flags.timeout,
        standing: () => `the read model ${name} was not rebuilt to its end`,
        comeBack: `edgeml admin rebuild ${name}`,
      };
      const progress = followed(s.out, `admin rebuild ${name}`);
      const done = await waiting(limits, ({ signal }) => s.audit.rebuild(name, { signal, ...progress })).finally(
        progress.done,
      );
      s.out.show(
        done,
        () => [
          `${done.name} is rebuilt up to ${done.position}: ${done.differences} rows were different, ${done.set_aside} set aside`,
        ],
        done.name,
      );
    });
}
