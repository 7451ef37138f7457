/** A rollout on a terminal: its lines, its exit code, and how it is followed. */
import type { Command } from 'commander';
import type { Rollout, RolloutEnded } from '../../sdk/types.ts';
import { EXIT } from '../exit.ts';
import { refuseFlag } from '../globals.ts';
import { argument, whole } from '../parse.ts';
import { waiting } from '../waiting.ts';
import { shownPercent, type Session } from './shared.ts';

const POLL_MS = 200;
const ENDED = new Set(['completed', 'rolled_back', 'aborted', 'paused', 'held']);

/** The argument that names a rollout. */
export const ROLLOUT_ID = argument('id', 'its number', whole(1));

/** `REGRESSED by error_rate`. */
const judgedWords = (judged: NonNullable<Rollout['judged']>): string => {
  const by = 'guilt' in judged ? judged.guilt : judged.rule;
  return `${judged.verdict}${by ? ` by ${by.metric}` : ''}`;
};

/** A rollout as lines for a person. */
export const rolloutLines = (r: Rollout): string[] => [
  `rollout ${r.id}: ${r.version} is ${r.status} at ${shownPercent(r.percent_now)} (stage ${r.stage + 1} of ${r.stages.length})`,
  ...(r.judged ? [`judged     ${judgedWords(r.judged)}`] : []),
  ...(r.paused ? [`paused     ${r.paused.cause}: ${r.paused.reason} (${r.paused.at})`] : []),
  ...(r.rolled_back ? [`rolled back to ${r.rolled_back.target ?? 'nothing'}: ${r.rolled_back.reason}`] : []),
  ...(r.aborted ? [`aborted    ${r.aborted.reason}`] : []),
];

/** The same, with what devices were sent to. */
export const endLines = (r: RolloutEnded): string[] => [
  ...rolloutLines(r),
  `stable     ${r.stable_version ?? 'no version: devices are told nothing new'}`,
];

/** The exit code of a pipeline: 0 completed, 3 rolled back or aborted, 4 paused or held. */
export const rolloutExit = (r: Rollout) => {
  if (r.status === 'rolled_back' || r.status === 'aborted') return EXIT.badOutcome;
  return r.status === 'paused' || r.status === 'held' ? EXIT.held : EXIT.done;
};

/** Follows it until it ends, is paused or is held. @throws CliError `timeout` */
export async function followRollout(s: Session, id: number): Promise<Rollout> {
  const bar = s.out.progress(`rollout ${id}`);
  let standing = `rollout ${id} goes on`;
  const comeBack = `edgeml rollout status ${id} --wait`;
  return waiting({ timeoutMs: s.flags.timeout, standing: () => standing, comeBack }, async (wait) => {
    for (;;) {
      const r = await wait.ask((signal) => s.federation.rollout(id).get({ signal }));
      standing = `rollout ${id} is ${r.status} at ${shownPercent(r.percent_now)}`;
      const done = Math.round(r.percent_now);
      bar.update({ phase: r.status, done, total: 100, unit: 'percent' }, `${r.version} ${r.status}`);
      if (ENDED.has(r.status)) return r;
      await wait.pause(POLL_MS);
    }
  }).finally(() => bar.done());
}

/** Without `--wait` nothing is waited for, and only without it can a moment of the past be read. */
export function checkWaiting(command: Command, waits: boolean | undefined): void {
  if (waits) return refuseFlag(command, 'asOf', 'what is waited for happens now');
  for (const flag of ['timeout', 'progress'] as const) refuseFlag(command, flag, 'it waits with --wait only');
}
