/** No further device gets the version; those that have it keep it. */
import type { PauseCause } from '../domain/events/rollout.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRollout } from './existing.ts';

export interface PauseRollout {
  readonly rolloutId: number;
  readonly reason: string;
  /** `manual` unless the workflow pauses. */
  readonly cause?: PauseCause;
  /** What a verdict still lacked, in words. */
  readonly missing?: readonly string[];
}

/** RolloutPaused. */
export async function pauseRollout(deps: CommandDeps, caller: Caller, input: PauseRollout): Promise<Outcome> {
  const { rolloutId, reason, cause = 'manual', missing } = input;
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const command = { type: 'pause' as const, cause, reason, ...(missing === undefined ? {} : { missing }) };
    return joinDecisions([
      { stream: rolloutStream(rolloutId), decision: decideRollout(rollout, command, streams.now().getTime()) },
    ]);
  });
}
