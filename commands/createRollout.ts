/** A rollout is planned. No device is told anything before it starts. */
import type { ModelId } from '../domain/brands.ts';
import { parseStream, rolloutStream } from '../domain/events/streams.ts';
import type { RolloutSpec } from '../domain/events/rollout.ts';
import { canonicalSha } from '../domain/hash/canonicalJson.ts';
import { isUsable } from '../machines/modelVersion.ts';
import { type RolloutState } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Streams } from './execute.ts';
import { requireModel, requireVersion } from './existing.ts';

export interface CreateRollout {
  readonly modelId: ModelId;
  /** Checked by its schema and by `domain/rollout` at the API. */
  readonly spec: RolloutSpec;
}

/** RolloutCreated. @throws LifecycleError `model_not_found`, `version_not_found` */
export async function createRollout(
  deps: CommandDeps,
  caller: Caller,
  input: CreateRollout,
): Promise<Outcome & { readonly rolloutId: number }> {
  const drawn = await deps.rollouts.nextId();
  const outcome = await execute(deps, caller, async (streams) => {
    const { decision } = await decideCreation(streams, drawn, input);
    return joinDecisions([{ stream: rolloutStream(drawn), decision }]);
  });
  return { ...outcome, rolloutId: rolloutIdOf(outcome) ?? drawn };
}

/** The decision about RolloutCreated, and the stream it was taken on. `previous` is the stable version devices may be told. */
export async function decideCreation(streams: Streams, rolloutId: number, { modelId, spec }: CreateRollout) {
  const model = await requireModel(streams, modelId);
  const version = await requireVersion(streams, modelId, spec.version);
  const rollout: RolloutState = await streams.rollout(rolloutId);
  const { stable } = model.context;
  const previous = stable !== null && isUsable((await streams.version(modelId, stable)).state) ? stable : null;
  const data = { model_id: modelId, version: spec.version, previous, spec, spec_sha: canonicalSha(spec) };
  const command = { type: 'create' as const, data, versionState: version.state };
  return { rollout, decision: decideRollout(rollout, command, streams.now().getTime()) };
}

/** The rollout that an outcome is about: a repeat drew another id than the first call. */
export function rolloutIdOf(outcome: Outcome): number | undefined {
  if (!('events' in outcome)) return undefined;
  for (const { stream } of outcome.events) {
    const parsed = parseStream(stream);
    if (parsed?.kind === 'rollout') return parsed.rolloutId;
  }
  return undefined;
}
