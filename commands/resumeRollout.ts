/** A paused rollout goes on where it stood; its stage clock runs again. */
import { rolloutStream } from '../domain/events/streams.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { existingRollout } from './existing.ts';

/** RolloutResumed. */
export async function resumeRollout(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, reason }: { readonly rolloutId: number; readonly reason?: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const rollout = await existingRollout(streams, rolloutId);
    const command = { type: 'resume' as const, ...(reason === undefined ? {} : { reason }) };
    return joinDecisions([
      { stream: rolloutStream(rolloutId), decision: decideRollout(rollout, command, streams.now().getTime()) },
    ]);
  });
}
