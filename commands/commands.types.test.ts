/** What the compiler refuses. Each `@ts-expect-error` fails the type check where its line would compile. */
import { describe, expect, it } from 'vitest';
import type { Decision } from '../machines/decision.ts';
import type { VersionFact } from '../domain/events/version.ts';
import type { ModelState } from '../machines/model.ts';
import { type VersionState } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { closeRound } from './closeRound.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { joinDecisions, type Streams } from './execute.ts';
import { recordPublished } from './recordPublished.ts';
import { rollBack } from './rollBack.ts';
import { submit } from './workflowCommand.ts';

declare const deps: CommandDeps;
declare const caller: Caller;
declare const streams: Streams;
declare const model: ModelState;
declare const version: VersionState;
declare const outcome: Outcome;
declare const decision: Decision<VersionFact>;

/** Never called: only its types matter. */
export function impossible() {
  // @ts-expect-error a version is not decided from a model's state
  decideVersion(model, { type: 'draft', data: {} }, 0);
  // @ts-expect-error a deployment belongs to a rollout
  decideVersion(version, { type: 'startDeployment' }, 0);
  // @ts-expect-error nothing un-rolls a version back
  decideVersion(version, { type: 'forgive', rolloutId: 1 }, 0);
  // @ts-expect-error a decision names the stream it goes to
  joinDecisions([{ decision }]);
  // @ts-expect-error a refusal has no events
  outcome.events;
  // @ts-expect-error facts are read from a decision only where it has some
  decision.facts;
  // @ts-expect-error accepts close a round at its goal; nobody may say so by hand
  void closeRound(deps, caller, { runId: 'r', round: 1, attempt: 1, cause: 'goal' });
  // @ts-expect-error a publication is numbered
  void recordPublished(deps, caller, { modelId: 'm', version: '1.0.0', files: [], tensorsSha: '', reportSha: '' });
  // @ts-expect-error a rollback names its rollout or its model
  void rollBack(deps, caller, { reason: 'iOS fails', trigger: 'manual' });
  // @ts-expect-error only people ask for a training run
  void submit(deps, caller, { kind: 'requestTraining', modelId: 'm', request: {}, source: 'own' });
  // @ts-expect-error a workflow never aborts a rollout
  void submit(deps, caller, { kind: 'abortRollout', rolloutId: 1, reason: 'no' });
  // @ts-expect-error a caller says what a conflict means to it
  const forgetful: Caller = { ...caller, onConflict: 'retry' };
  // @ts-expect-error streams are read by kind and id, not by name
  void streams.version('version-m@1.0.0');
  return forgetful;
}

describe('types of the use cases', () => {
  it('are checked by tsc, which fails on an unused @ts-expect-error', () => {
    expect(impossible).toBeTypeOf('function');
  });
});
