/** `edgeml rollback`: away from the version in force, whichever rollout it came by. */
import type { Command } from 'commander';
import { EdgeMLError } from '../../sdk/errors.ts';
import type { RolloutPage } from '../../sdk/types.ts';
import { uses } from '../globals.ts';
import { argument, name, text, valued } from '../parse.ts';
import { consequenceSentence } from './consequence.ts';
import { endLines } from './rolloutShown.ts';
import { confirm, session, type Session } from './shared.ts';

/**
 * The version that a rollback would mark: said in the question, and sent, so that a second press does not take another one.
 * Undefined where the read models do not answer: a kill switch does not wait for them.
 */
async function inForce({ http, registry }: Session, model: string): Promise<string | undefined> {
  try {
    const { items }: RolloutPage = await http.json('GET', '/lifecycle/v1/rollouts', { query: { model, live: true } });
    return items[0]?.version ?? (await registry.getModel(model)).stable_version ?? undefined;
  } catch (error) {
    if (error instanceof EdgeMLError && error.status >= 500) return undefined;
    throw error;
  }
}

/** Adds `edgeml rollback`. */
export function addRollback(program: Command): void {
  uses(program.command('rollback'), 'yes')
    .addArgument(argument('model', 'its name or id', name))
    .description('away from the version in force, at once; works while Temporal and NATS are down')
    .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory())
    .addOption(valued('--to <version>', 'a version that was stable, also an aborted one', name))
    .addOption(
      valued(
        '--from <version>',
        'the version that must go; default: the one that rolls out, else the stable one',
        name,
      ),
    )
    .action(async (model: string, o: { reason: string; to?: string; from?: string }, command: Command) => {
      const s = session(command);
      const { flags, out, http, federation } = s;
      const from = o.from ?? (await inForce(s, model));
      const bad = from ?? 'the version in force';
      const path = `/lifecycle/v1/models/${encodeURIComponent(model)}/rollback`;
      const body = {
        reason: o.reason,
        ...(from === undefined ? {} : { from_version: from }),
        ...(o.to === undefined ? {} : { target_version: o.to }),
      };
      await confirm(flags, `Roll ${model} back from ${bad}${o.to ? ` to ${o.to}` : ''}? It is marked for ever.`, () =>
        consequenceSentence(http, path, body),
      );
      const r = await federation.rollback({
        model,
        reason: o.reason,
        ...(from === undefined ? {} : { fromVersion: from }),
        ...(o.to === undefined ? {} : { targetVersion: o.to }),
      });
      out.show(r, () => endLines(r), String(r.id));
      out.note(`next: edgeml postmortem get ${r.id}`);
    });
}
