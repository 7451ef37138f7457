/** The workflow's step up: the bake is over and the verdict is good. */
import { rolloutStream } from '../domain/events/streams.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRollout } from './existing.ts';
import { nextStageEvidence } from './fleetEvidence.ts';

/** StageEntered. */
export async function enterStage(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, stage }: { readonly rolloutId: number; readonly stage: number },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const shown = await nextStageEvidence(deps, rollout.context);
    const decision = decideRollout(rollout, { type: 'enterStage', stage, ...shown }, streams.now().getTime());
    return joinDecisions([{ stream: rolloutStream(rolloutId), decision }]);
  });
}
