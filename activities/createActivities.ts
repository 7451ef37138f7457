/** Every activity, by the queue it runs on. `deps` are closed over; inputs and answers are JSON. */
import { Context } from '@temporalio/activity';
import { aggregateRound } from './aggregateRound.ts';
import { buildVersion } from './buildVersion.ts';
import type {
  ComputeActivities,
  Computed,
  MainActivities,
  Submitted,
  TellActivities,
  WatchActivities,
} from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { draftPostMortem } from './draftPostMortem.ts';
import { evaluateRound } from './evaluateRound.ts';
import { createFailures } from './failure.ts';
import { followDevices } from './followDevices.ts';
import { loadPublishPlan } from './loadPublishPlan.ts';
import { loadRollback } from './loadRollback.ts';
import { loadRollout } from './loadRollout.ts';
import { loadTraining } from './loadTraining.ts';
import { notify } from './notify.ts';
import { submitAs } from './submitCommand.ts';
import { watchRound } from './watchRound.ts';
import { watchStage } from './watchStage.ts';

/** The process on whose behalf an activity runs: its facts carry it as their actor. */
function processId(): string {
  const { workflowExecution } = Context.current().info;
  if (!workflowExecution) throw new Error('this activity runs for a workflow only');
  return workflowExecution.workflowId;
}

export interface ActivitiesByQueue {
  readonly main: MainActivities & TellActivities;
  readonly watch: WatchActivities;
  readonly compute: ComputeActivities;
}

/** The worker registers each group on its queue. */
export function createActivities(deps: ActivityDeps): ActivitiesByQueue {
  const asActivity = createFailures(deps);
  const held: Submitted = { outcome: 'stale', events: [], why: 'the process is held by a fault' };
  const nothing: Computed = { submit: null };
  return {
    main: {
      loadRollout: asActivity('loadRollout', (input) => loadRollout(deps, input)),
      loadTraining: asActivity('loadTraining', (input) => loadTraining(deps, input)),
      loadPublishPlan: asActivity('loadPublishPlan', (input) => loadPublishPlan(deps, input)),
      loadRollback: asActivity('loadRollback', (input) => loadRollback(deps, input)),
      submitCommand: asActivity('submitCommand', ({ v: _, ...input }) => submitAs(deps, processId(), input), held),
      notify: asActivity('notify', ({ v: _, ...input }) => notify(deps, input)),
      draftPostMortem: asActivity('draftPostMortem', (input) => draftPostMortem(deps, input)),
    },
    watch: {
      watchStage: asActivity('watchStage', (input) => watchStage(deps, processId(), input)),
      watchRound: asActivity('watchRound', (input) => watchRound(deps, input)),
      followDevices: asActivity('followDevices', (input) => followDevices(deps, input)),
    },
    compute: {
      aggregateRound: asActivity('aggregateRound', (input) => aggregateRound(deps, input), nothing),
      evaluateRound: asActivity('evaluateRound', (input) => evaluateRound(deps, input), nothing),
      buildVersion: asActivity('buildVersion', (input) => buildVersion(deps, input), nothing),
    },
  };
}
