/** A federated run is asked for: its spec is frozen, its version reserved. The workflow opens the rounds. */
import type { ModelId } from '../domain/brands.ts';
import type { TrainingFact } from '../domain/events/training.ts';
import { parseStream, trainingStream, versionStream } from '../domain/events/streams.ts';
import { canonicalSha } from '../domain/hash/canonicalJson.ts';
import { parseTrainingRequest, requestSha, specOf, type TrainingRequest } from '../domain/learning/index.ts';
import { isRefusal, refusalError } from '../domain/refusal.ts';
import { guard, refuseByGuards } from '../machines/decision.ts';
import { decideModel } from '../machines/model.ts';
import { versionMachine, type VersionState } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Conclusion, type Streams } from './execute.ts';
import { requireModel } from './existing.ts';
import { foresee } from './foresee.ts';
import { checkEvaluation, trainingBase } from './trainingBase.ts';

export interface RequestTraining {
  readonly modelId: ModelId;
  /** The body as it was sent; its hash recognises the same request under any key. */
  readonly request: unknown;
  readonly source: Extract<TrainingFact, { type: 'TrainingRequested' }>['data']['source'];
}

/**
 * TrainingRequested + VersionDrafted if new + TrainingStarted. The same request again is the same run (`existing`), open or
 * succeeded; another one for a version that is taken is refused with `version_reserved`.
 *
 * @throws LifecycleError for a request that its parser refuses, a model or base that does not exist, a base that cannot be trained
 */
export async function requestTraining(
  deps: CommandDeps,
  caller: Caller,
  input: RequestTraining,
): Promise<Outcome & { readonly runId: string; readonly existing: boolean }> {
  const request = parseTrainingRequest(input.request);
  if (isRefusal(request)) throw refusalError(request);
  const drawn = { runId: deps.newId(), seed: deps.randomHex(), sha: requestSha(input.modelId, input.request) };
  let holder: string | null = null;
  const outcome = await execute(deps, caller, async (streams) => {
    const model = await requireModel(streams, input.modelId);
    const version = await streams.version(input.modelId, request.new_version);
    holder = null;
    if (version.version > 0 && version.state !== 'Draft') {
      holder = await holderOf(streams, version, drawn.sha);
      return holder === null ? reserved(version, request.new_version) : { kind: 'already' };
    }
    const listed = decideModel(model, { type: 'listVersion', version: request.new_version }, streams.now().getTime());
    if (listed.kind === 'refused') return listed;
    return conclude(deps, streams, input, request, version, drawn);
  });
  const runId = runIdOf(outcome) ?? holder ?? drawn.runId;
  return { ...outcome, runId, existing: outcome.outcome === 'already' || outcome.outcome === 'duplicate' };
}

async function conclude(
  deps: CommandDeps,
  streams: Streams,
  { modelId, source }: RequestTraining,
  request: TrainingRequest,
  version: VersionState,
  { runId, seed, sha }: { runId: string; seed: string; sha: string },
): Promise<Conclusion> {
  const model = await requireModel(streams, modelId);
  const base = await trainingBase(deps, streams, modelId, model, request);
  await checkEvaluation(deps, modelId, model, request);
  const now = streams.now().getTime();
  const spec = specOf(request, { modelId, baseVersion: base.version, seed });
  const requested = { source, spec, spec_sha: canonicalSha(spec), request_sha: sha, base };
  const stream = versionStream(modelId, request.new_version);
  const draft = {
    model_id: modelId,
    version: request.new_version,
    parent: base.version,
    contract_digest: model.context.contractDigest,
  };
  const drafted = version.version === 0 ? decideVersion(version, { type: 'draft', data: draft }, now) : undefined;
  const started = decideVersion(
    drafted ? foresee(versionMachine, version, drafted, now) : version,
    { type: 'startTraining', data: { run_id: runId, base_version: base.version } },
    now,
  );
  const run = decideTraining(await streams.training(runId), { type: 'request', data: requested }, now);
  return joinDecisions([
    { stream: trainingStream(runId), decision: run },
    ...(drafted ? [{ stream, decision: drafted }] : []),
    { stream, decision: started },
  ]);
}

/** The run that made or makes the version, if it was asked for by the same request. */
async function holderOf(streams: Streams, version: VersionState, sha: string): Promise<string | null> {
  const { runId } = version.context;
  if (runId === null) return null;
  return (await streams.training(runId)).context.requestSha === sha ? runId : null;
}

function reserved(version: VersionState, name: string): Conclusion {
  const why = `${name} is ${version.state}${version.context.runId ? `, by run ${version.context.runId}` : ''}`;
  const howToMeet =
    version.state === 'Training' ? 'choose another version, or abort that run' : 'choose another version';
  const isFree = guard('versionFree', false, why, howToMeet);
  return refuseByGuards(version.state, 'requestTraining', [isFree], 'version_reserved');
}

function runIdOf(outcome: Outcome): string | undefined {
  if (!('events' in outcome)) return undefined;
  for (const { stream } of outcome.events) {
    const parsed = parseStream(stream);
    if (parsed?.kind === 'training') return parsed.runId;
  }
  return undefined;
}
