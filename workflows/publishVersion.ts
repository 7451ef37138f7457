/** A trained version is converted, checked and published, or refused with the checks that failed. */
import type { ModelId, Semver } from '../domain/brands.ts';
import type { StreamState } from '../domain/states.ts';
import type { PublishView } from '../activities/contract.ts';
import { publishStepId } from '../domain/events/commandIds.ts';
import { IDLE_MS, type Steps } from './steps.ts';
import type { ActivityProxies } from './activityProxies.ts';
import { followFacts } from './follow.ts';

export interface PublishInput {
  readonly v: 1;
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly n: number;
}

/** Ends when publication `n` is over. Bytes travel as hashes. */
export function publishVersion(input: PublishInput): Promise<{ readonly state: StreamState }> {
  const { modelId, version, n } = input;
  return followFacts(input, {
    load: (activities) => activities.main.loadPublishPlan({ v: 1, modelId, version, n }),
    take,
  });
}

async function take(
  { modelId, version, n, next }: PublishView,
  steps: Steps,
  activities: ActivityProxies,
): Promise<void> {
  if (next.kind !== 'build') return steps.firstOf(IDLE_MS); // a step of a newer plan
  const { submit: built } = await activities.compute.buildVersion({ v: 1, modelId, version, n });
  if (!built) return; // the publication ended meanwhile
  const result = await steps.submit(built);
  // Another version of the line was published meanwhile: this one never will be, so say so.
  if (result.outcome !== 'refused' || result.code !== 'version_not_monotone') return;
  await steps.submit({
    commandId: publishStepId(modelId, version, n, 'refused'),
    expect: built.expect,
    command: { kind: 'refusePublish', modelId, version, n, code: result.code, checks: [] },
  });
}
