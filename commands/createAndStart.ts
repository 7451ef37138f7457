/** A rollout is created and started in one append; where the caller asks for everyone at once, completed as well. */
import { rolloutStream } from '../domain/events/streams.ts';
import { rolloutMachine } from '../machines/rollout.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { completionParts } from './completeRollout.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { decideCreation, rolloutIdOf, type CreateRollout } from './createRollout.ts';
import { executeUnder, joinDecisions } from './execute.ts';
import { startEvidence } from './fleetEvidence.ts';
import { foresee } from './foresee.ts';
import { startParts } from './startRollout.ts';

export interface CreateAndStart extends CreateRollout {
  /** A person's 100 % of everyone, not judged: completes in the same append. The spec has one stage of 100 %. */
  readonly completeAtOnce?: { readonly reason: string };
}

/** RolloutCreated, the facts of a start and, with `completeAtOnce`, those of completing. */
export async function createAndStart(
  deps: CommandDeps,
  caller: Caller,
  input: CreateAndStart,
): Promise<Outcome & { readonly rolloutId: number }> {
  const rolloutId = await deps.rollouts.nextId();
  const stream = rolloutStream(rolloutId);
  const shown = await startEvidence(deps, input);
  const outcome = await executeUnder(
    deps,
    caller,
    (tx) => deps.rollouts.lockStarts(tx, input.modelId),
    async (streams, tx) => {
      const { rollout, decision: created } = await decideCreation(streams, rolloutId, input);
      const now = streams.now().getTime();
      const pending = foresee(rolloutMachine, rollout, created, now);
      const parts = [{ stream, decision: created }];
      if (created.kind !== 'facts') return joinDecisions(parts);
      const started = await startParts(deps, streams, tx, rolloutId, pending, shown);
      if (!input.completeAtOnce || started.some((p) => p.decision.kind === 'refused')) {
        return joinDecisions([...parts, ...started]);
      }
      const version = await streams.version(input.modelId, input.spec.version);
      const completed = await completionParts(
        streams,
        rolloutId,
        started[0] ? foresee(rolloutMachine, pending, started[0].decision, now) : pending,
        started[1] ? foresee(versionMachine, version, started[1].decision, now) : version,
        { basis: 'manual', override: true, reason: input.completeAtOnce.reason },
      );
      return joinDecisions([...parts, ...started, ...completed]);
    },
  );
  return { ...outcome, rolloutId: rolloutIdOf(outcome) ?? rolloutId };
}
