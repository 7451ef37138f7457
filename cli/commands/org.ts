/** `edgeml org`: organisations, for whoever operates the instance. */
import type { Command } from 'commander';
import { table } from '../output.ts';
import { argument, name as oneName, text, valued } from '../parse.ts';
import { session } from './shared.ts';

export function addOrgCommands(program: Command): void {
  const org = program.command('org').description('organisations; needs a key with the role instance');

  org
    .command('create')
    .addArgument(argument('name', 'for people', text))
    .description('an organisation and the key of its first admin, shown once')
    .addOption(valued('--id <id>', 'default: one is made', oneName))
    .addHelpText('after', '\nExample:\n  edgeml org create "Acme Phones" --id org_acme -o json')
    .action(async (name: string, o: { id?: string }, command: Command) => {
      const { out, audit } = session(command);
      const made = await audit.createOrg({ name, ...o });
      out.show(made, () => [`organisation ${made.id}`, made.admin_key.key], made.id);
      out.note(`key ${made.admin_key.id} of its admin: it is shown this once`);
    });

  org
    .command('list')
    .description('every organisation of the instance')
    .action(async (_o: unknown, command: Command) => {
      const { out, audit } = session(command);
      const orgs = await audit.listOrgs();
      out.list(
        orgs,
        () =>
          table(
            ['ID', 'NAME', 'CREATED'],
            orgs.map((o) => [o.id, o.name, o.created_at]),
          ),
        (o: { id: string }) => o.id,
      );
    });
}
