/** `edgeml rollout`, `edgeml rollback`, `edgeml postmortem`. */
import type { Command } from 'commander';
import type { RolloutPage } from '../../sdk/types.ts';
import { uses } from '../globals.ts';
import { table } from '../output.ts';
import { argument, name, text, valued, whole } from '../parse.ts';
import { addRollback } from './rollback.ts';
import { checkWaiting, followRollout, ROLLOUT_ID, rolloutExit, rolloutLines } from './rolloutShown.ts';
import { addRolloutStart } from './rolloutStart.ts';
import { addRolloutVerbs } from './rolloutVerbs.ts';
import { session } from './shared.ts';

export function addRolloutCommands(program: Command): void {
  const rollout = program.command('rollout').description('progressive rollouts');

  addRolloutStart(rollout);

  uses(rollout.command('list'), 'asOf')
    .addArgument(argument('model', 'its name or id', name))
    .description('the rollouts of a model')
    .action(async (model: string, _o: unknown, command: Command) => {
      const { out, http, asOf } = session(command);
      const query = { model, as_of: asOf.asOf, limit: 500 };
      const { items }: RolloutPage = await http.json('GET', '/lifecycle/v1/rollouts', { query });
      out.list(
        items,
        () =>
          table(
            ['ID', 'VERSION', 'STATUS', 'STAGE', 'FROM'],
            items.map((r) => [
              String(r.id),
              r.version,
              r.status,
              `${r.stage + 1}/${r.stages.length}`,
              r.previous_version ?? '–',
            ]),
          ),
        (r: { id: number }) => String(r.id),
      );
    });

  for (const verb of ['get', 'status'] as const) {
    uses(rollout.command(verb), 'asOf', 'waits')
      .addArgument(ROLLOUT_ID)
      .description(verb === 'get' ? 'one rollout' : 'one rollout, and how it stands as the exit code')
      .option('--wait', 'follow it to its end: 0 completed, 3 rolled back or aborted, 4 paused or held')
      .action(async (id: number, o: { wait?: boolean }, command: Command) => {
        checkWaiting(command, o.wait);
        const s = session(command);
        const r = o.wait ? await followRollout(s, id) : await s.federation.rollout(id).get(s.asOf);
        s.out.show(r, () => rolloutLines(r), String(r.id));
        if (o.wait || verb === 'status') process.exitCode = rolloutExit(r);
      });
  }

  addRolloutVerbs(rollout);

  rollout
    .command('root-cause')
    .addArgument(ROLLOUT_ID)
    .description('what it was; closes the post-mortem')
    .addOption(valued('--text <text>', 'for people', text).makeOptionMandatory())
    .action(async (id: number, o: { text: string }, command: Command) => {
      const { out, federation } = session(command);
      const r = await federation.rollout(id).recordRootCause(o.text);
      out.show(r, () => rolloutLines(r), String(r.id));
    });

  addRollback(program);

  program
    .command('postmortem')
    .description('what happened, from the log')
    .command('get')
    .addArgument(argument('rollout', 'its number', whole(1)))
    .description('what happened in one rollout')
    .action(async (id: number, _o: unknown, command: Command) => {
      const { out, federation } = session(command);
      const handle = federation.rollout(id);
      if (out.format !== 'text') return out.show(await handle.postMortem(), () => [], String(id));
      const markdown = await handle.postMortemMarkdown();
      out.show(markdown, () => markdown.split('\n'), String(id));
    });
}
