/** What a person does to a rollout that exists: pause, resume, advance, abort, rollback. */
import type { Command } from 'commander';
import type { RolloutHandle } from '../../sdk/rollout.ts';
import type { Rollout } from '../../sdk/types.ts';
import { uses } from '../globals.ts';
import { name, requires, text, valued } from '../parse.ts';
import { consequenceSentence } from './consequence.ts';
import { endLines, ROLLOUT_ID, rolloutLines } from './rolloutShown.ts';
import { confirm, session } from './shared.ts';

/** Adds them to `edgeml rollout`. Abort and rollback ask once; a stop that only halts does not. */
export function addRolloutVerbs(rollout: Command): void {
  const verb = (word: string, description: string, needsReason: boolean) =>
    rollout
      .command(word)
      .addArgument(ROLLOUT_ID)
      .description(description)
      .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory(needsReason));
  const act = async (command: Command, id: number, use: (handle: RolloutHandle) => Promise<Rollout>) => {
    const { out, federation } = session(command);
    const r = await use(federation.rollout(id));
    out.show(r, () => rolloutLines(r), String(r.id));
  };

  verb('pause', 'devices stay where they are', true).action((id: number, o: { reason: string }, command: Command) =>
    act(command, id, (handle) => handle.pause(o.reason)),
  );
  verb('resume', 'go on', false).action((id: number, o: { reason?: string }, command: Command) =>
    act(command, id, (handle) => handle.resume(o.reason)),
  );
  verb('advance', 'the next stage', false)
    .option('--override', 'before the bake is over; needs a reason')
    .action((id: number, o: { reason?: string; override?: boolean }, command: Command) => {
      requires(command, '--reason', '--override');
      const because = o.reason === undefined ? {} : { reason: o.reason };
      return act(command, id, (handle) => handle.advance({ ...because, ...(o.override ? { override: true } : {}) }));
    });
  for (const [word, description] of [
    ['abort', 'devices return to what is stable, if anything is; the version is not blamed'],
    ['rollback', 'devices return to what is stable, if anything is; the version is marked for ever'],
  ] as const) {
    const ending = uses(verb(word, description, true), 'yes');
    if (word === 'rollback')
      ending.addOption(valued('--to <version>', 'a version that was stable, also an aborted one', name));
    ending.action(async (id: number, o: { reason: string; to?: string }, command: Command) => {
      const { flags, http, out, federation } = session(command);
      const target = o.to === undefined ? {} : { target_version: o.to };
      const path = `/lifecycle/v1/rollouts/${id}/${word}`;
      await confirm(flags, `${word} rollout ${id}?`, () =>
        consequenceSentence(http, path, { reason: o.reason, ...target }),
      );
      const handle = federation.rollout(id);
      const to = o.to === undefined ? {} : { targetVersion: o.to };
      const r = word === 'abort' ? await handle.abort(o.reason) : await handle.rollback(o.reason, to);
      out.show(r, () => endLines(r), String(r.id));
    });
  }
}
