/** A person's step up; out of the last stage it completes. */
import { modelStream, rolloutStream, versionStream } from '../domain/events/streams.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import { completionParts } from './completeRollout.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRollout } from './existing.ts';
import { nextStageEvidence } from './fleetEvidence.ts';

export interface AdvanceRollout {
  readonly rolloutId: number;
  readonly reason?: string;
  /** Skips the bake, with a reason; it never passes a regressed verdict. */
  readonly override: boolean;
}

/** StageEntered, or the facts of completing. */
export async function advanceRollout(deps: CommandDeps, caller: Caller, input: AdvanceRollout): Promise<Outcome> {
  const { rolloutId, override } = input;
  const why = input.reason === undefined ? {} : { reason: input.reason };
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const { modelId, version, spec, stage } = rollout.context;
    if (spec && stage === spec.stages.length - 1) {
      await streams.preload([modelStream(modelId), versionStream(modelId, version)]);
      const state = await streams.version(modelId, version);
      return joinDecisions(
        await completionParts(streams, rolloutId, rollout, state, { basis: 'manual', override, ...why }),
      );
    }
    const shown = await nextStageEvidence(deps, rollout.context);
    const decision = decideRollout(rollout, { type: 'advance', override, ...why, ...shown }, streams.now().getTime());
    return joinDecisions([{ stream: rolloutStream(rolloutId), decision }]);
  });
}
