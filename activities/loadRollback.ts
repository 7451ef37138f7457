/** Where the follow-up of a rollback stands: from the log, the notices and the counters. */
import { LifecycleError } from '../domain/errors.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { countedWithin } from '../store/within.ts';
import type { RollbackStep, RollbackView } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { planRollback, type DevicesOn, type RollbackStanding } from './rollbackPlan.ts';

/** @throws LifecycleError `rollout_not_found` where nothing was rolled back, `stream_diverged` */
export async function loadRollback(
  deps: ActivityDeps,
  { rolloutId }: { readonly rolloutId: number },
): Promise<RollbackView> {
  const stream = rolloutStream(rolloutId);
  const { folded, now } = await foldStream(deps.commands.log, stream, 'rollout_not_found');
  const [fact] = await deps.commands.log.readPart(stream, { types: ['RolloutRolledBack'], limit: 1 });
  const { rolledBack, version, rootCauses } = folded.context;
  if (!fact || !rolledBack) throw new LifecycleError('rollout_not_found', `Rollout ${rolloutId} was not rolled back.`);
  const standing = {
    rolloutId,
    version,
    target: rolledBack.target,
    reason: rolledBack.reason,
    trigger: rolledBack.trigger,
    eventId: fact.id,
    at: rolledBack.at,
    now,
    hasRootCause: rootCauses.length > 0,
    told: await deps.notices.of(fact.id),
  };
  const next = await nextStep(standing, () => deps.telemetry.devicesStillOn(rolloutId));
  return { v: 1, stream, streamVersion: folded.version, state: folded.state, rolloutId, next };
}

/** Of the 5 s that a try of this activity has. */
const COUNT_MS = 2_000;

/** Counts the devices only where the step depends on them: people are told first. */
async function nextStep(standing: RollbackStanding, count: () => Promise<DevicesOn>): Promise<RollbackStep> {
  const step = planRollback(standing);
  if (step !== 'count_devices') return step;
  const counted = planRollback({ ...standing, devices: await countedWithin(COUNT_MS, count()) });
  if (counted === 'count_devices')
    throw new Error(`the follow-up of rollout ${standing.rolloutId} asks for counts twice`);
  return counted;
}
