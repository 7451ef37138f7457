/** A process whose activity fails the same way each time is held by a fact that says so, until a person has seen to it. */
import type { Caller, Outcome } from '../commands/context.ts';
import { pauseRollout } from '../commands/pauseRollout.ts';
import { pauseTraining } from '../commands/pauseTraining.ts';
import { refusePublish } from '../commands/refusePublish.ts';
import { parseProcess } from '../domain/events/processes.ts';
import type { ActivityDeps } from './deps.ts';

/**
 * PublishRefused, TrainingPaused or RolloutPaused, each with `internal_fault`; nothing for a rollback's follow-up, and where the
 * subject is over, paused or ending already.
 *
 * @param process    the workflow's id
 * @param activity   run and activity id: the fact is appended once for it
 * @returns          whether a fact was appended: the workflow finds another plan then
 */
export async function giveUp(
  { commands, logger }: ActivityDeps,
  process: string,
  activity: string,
  reason: string,
): Promise<boolean> {
  // Not the workflow itself, which is not signalled by its own facts.
  const caller: Caller = {
    actor: { kind: 'system', id: 'worker' },
    orgId: null,
    commandId: `${process}/fault/${activity}`,
    commandHash: null,
    correlationId: process,
    causationId: null,
    onConflict: 'redecide',
  };
  const outcome = await hold(process, caller);
  logger.error({ process, alarm: 'internal_fault', why: reason, outcome: outcome?.outcome }, 'given up');
  return outcome?.outcome === 'appended';

  function hold(id: string, as: Caller): Promise<Outcome> | undefined {
    const parsed = parseProcess(id);
    switch (parsed?.kind) {
      case 'publish': {
        const { modelId, version, n } = parsed;
        return refusePublish(commands, as, { modelId, version, n, code: 'internal_fault', checks: [], reason });
      }
      case 'training':
        return pauseTraining(commands, as, { runId: parsed.runId, reason, by: 'system', code: 'internal_fault' });
      case 'rollout':
        return pauseRollout(commands, as, { rolloutId: parsed.rolloutId, reason, cause: 'internal_fault' });
      default:
        return undefined;
    }
  }
}
