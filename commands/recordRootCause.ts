/** A person says why a version failed; the post-mortem shows it. */
import { rolloutStream } from '../domain/events/streams.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRollout } from './existing.ts';

/** RootCauseRecorded. */
export async function recordRootCause(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, text }: { readonly rolloutId: number; readonly text: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const decision = decideRollout(rollout, { type: 'recordRootCause', text }, streams.now().getTime());
    return joinDecisions([{ stream: rolloutStream(rolloutId), decision }]);
  });
}
