/** Where a rollout stands, and its next step with the command that takes it. */
import { completeId, enterStageId, pauseStageId } from '../domain/events/commandIds.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { nextStep, type NextStep } from '../domain/rollout/plan.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import type { RolloutContext } from '../machines/rollout.ts';
import type { RolloutStep, RolloutView } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { rolloutStanding } from './rolloutStanding.ts';

/** @throws LifecycleError `rollout_not_found`, `stream_diverged` */
export async function loadRollout(
  deps: ActivityDeps,
  { rolloutId }: { readonly rolloutId: number },
): Promise<RolloutView> {
  const stream = rolloutStream(rolloutId);
  const { folded, now } = await foldStream(deps.commands.log, stream, 'rollout_not_found');
  const standing = rolloutStanding(folded);
  const step = nextStep(standing, now);
  return {
    v: 1,
    stream,
    streamVersion: folded.version,
    state: folded.state,
    rolloutId,
    epoch: folded.context.epoch,
    stage: folded.context.stage,
    clockMs: clockMs(standing.clock, now),
    next: stepView(step, rolloutId, folded.context, { stream, version: folded.version }),
  };
}

function stepView(
  step: NextStep,
  rolloutId: number,
  { epoch, stage, judged }: RolloutContext,
  expect: { readonly stream: string; readonly version: number },
): RolloutStep {
  switch (step.kind) {
    case 'enterStage': {
      const command = { kind: 'enterStage' as const, rolloutId, stage: step.stage };
      return { kind: 'enterStage', submit: { commandId: enterStageId(rolloutId, epoch, step.stage), expect, command } };
    }
    case 'complete': {
      const command = { kind: 'completeRollout' as const, rolloutId, basis: 'auto' as const, override: false };
      return { kind: 'complete', submit: { commandId: completeId(rolloutId, epoch), expect, command } };
    }
    case 'pauseInconclusive': {
      const { missing } = step;
      const reason =
        judged?.verdict === 'QUIET' ? `stage ${stage} is quiet, and its spec asks` : `stage ${stage} is inconclusive`;
      const command = { kind: 'pauseRollout' as const, rolloutId, cause: 'inconclusive' as const, reason, missing };
      return { kind: 'pause', submit: { commandId: pauseStageId(rolloutId, epoch, stage), expect, command } };
    }
    case 'bake':
      // Nothing left: the watcher looks at once and says what it is, so a timer would only race it.
      return step.leftMs > 0 ? { kind: 'bake', leftMs: step.leftMs } : { kind: 'watch' };
    case 'wait':
      return { kind: 'watch' };
    case 'done':
      return { kind: 'done' };
  }
}
