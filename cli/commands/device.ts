/** `edgeml device`: what an operator does about one device. */
import type { Command } from 'commander';
import { argument, name as oneName } from '../parse.ts';
import { session } from './shared.ts';

export function addDeviceCommands(program: Command): void {
  const device = program.command('device').description('registered devices; needs the role operator');

  device
    .command('release')
    .addArgument(argument('device', 'its id, or its own identifier', oneName))
    .description('revoke its token, and let whoever registers it next have it')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, audit } = session(command);
      const done = await audit.releaseDevice(name);
      out.show(
        done,
        () => [`${done.device_identifier} (${done.id}) is released: its token is refused from now on`],
        done.id,
      );
    });
}
