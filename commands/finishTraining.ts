/** The last checkpoint becomes the version. Both final facts land, or neither. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { formatsFor } from '../domain/formats/fileFormats.ts';
import { decideModel } from '../machines/model.ts';
import { versionMachine, type VersionState } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { type TrainingState } from '../machines/trainingRun.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { requireModel, requireRun } from './existing.ts';
import { foresee } from './foresee.ts';
import { trainingSummary } from './trainingSummary.ts';

/**
 * (TrainingStopped +) TrainingSucceeded + TrainingCompleted on the version; + PublishRequested where the spec says `publish`.
 * A publication that is refused is left out: the version is Trained all the same.
 */
export async function finishTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId }: { readonly runId: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const now = streams.now().getTime();
    const finished = decideTraining(run, { type: 'finish' }, now);
    const parts: DecidedPart[] = [{ stream: trainingStream(runId), decision: finished }];
    if (finished.kind !== 'facts' || !run.context.spec) return joinDecisions(parts);

    const { model_id: modelId, new_version: version, publish } = run.context.spec;
    const stopped = finished.facts.find((f) => f.type === 'TrainingStopped')?.data ?? run.context.stopped;
    const data = trainingSummary(runId, run.context, stopped, await participantsOf(deps, runId, run));
    const state = await streams.version(modelId, version);
    const completed = decideVersion(state, { type: 'completeTraining', data }, now);
    const stream = versionStream(modelId, version);
    parts.push({ stream, decision: completed });
    if (publish) {
      const requested = await publicationOf(streams, modelId, version, foresee(versionMachine, state, completed, now));
      if (requested) parts.push({ stream, decision: requested });
    }
    return joinDecisions(parts);
  });
}

/** Distinct devices over the aggregated rounds; their rows outlive the run by its retention. */
function participantsOf(deps: CommandDeps, runId: string, run: TrainingState): Promise<number> {
  return deps.rounds.participants(run.context.rounds.map((r) => roundIdOf(runId, r.round, r.attempt)));
}

async function publicationOf(streams: Streams, modelId: ModelId, version: Semver, trained: VersionState) {
  const model = await requireModel(streams, modelId);
  const now = streams.now().getTime();
  if (decideModel(model, { type: 'listVersion', version }, now).kind === 'refused') return undefined;
  const formats = formatsFor(model.context.architecture !== null);
  const requested = decideVersion(trained, { type: 'requestPublish', formats }, now);
  return requested.kind === 'facts' ? requested : undefined;
}
