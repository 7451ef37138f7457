/** A paused rollout goes on where it stood; its stage clock runs again. */
import { rolloutStream } from '../domain/events/streams.ts';
import { pausedByDownloads, type RolloutContext } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRollout } from './existing.ts';

/** RolloutResumed; where downloads had paused it, with the stage's downloads until now, which are set aside. */
export async function resumeRollout(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, reason }: { readonly rolloutId: number; readonly reason?: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const command = {
      type: 'resume' as const,
      ...(reason === undefined ? {} : { reason }),
      ...(await setAside(deps, rolloutId, rollout.context)),
    };
    return joinDecisions([
      { stream: rolloutStream(rolloutId), decision: decideRollout(rollout, command, streams.now().getTime()) },
    ]);
  });
}

async function setAside(deps: CommandDeps, rolloutId: number, context: RolloutContext) {
  if (!pausedByDownloads(context)) return {};
  const { downloads, download_failures } = (await deps.telemetry.readCounters(rolloutId, context.stage)).canary;
  return { setAside: { downloads, download_failures } };
}
