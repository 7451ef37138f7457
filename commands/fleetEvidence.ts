/** What a start and a stage of the policy `evidence` fix, from the fleet as it is now. Reads only, on connections of its own: never under a lock. */
import type { ModelId } from '../domain/brands.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import type { RolloutSpec } from '../domain/events/rollout.ts';
import type { FrozenEvidence, StageEvidence } from '../domain/events/verdict.ts';
import { evidencePolicy } from '../domain/rollout/policies.ts';
import {
  foreseeStage,
  freezeReading,
  preflight,
  type KnownFleet,
  type StagePreflight,
} from '../domain/rollout/verdict/index.ts';
import type { RolloutContext } from '../machines/rollout.ts';
import { stateOf } from '../machines/registry.ts';
import { foldStreams } from '../store/snapshots/foldStreams.ts';
import type { CommandDeps } from './context.ts';

type Deps = Pick<CommandDeps, 'log' | 'fleet'>;
type Of = { readonly modelId: ModelId; readonly spec: RolloutSpec };

/** The stable version, and its accuracy on its validation data; nulls where there is none, or where it is not known. */
async function stableOf({ log }: Deps, modelId: ModelId) {
  const stream = modelStream(modelId);
  const models = await foldStreams(log, [stream]);
  const { stable } = stateOf(stream, models.streams.get(stream)!.folded).context;
  if (stable === null) return { stable, accuracy: null };
  const version = versionStream(modelId, stable);
  const versions = await foldStreams(log, [version]);
  const { training } = stateOf(version, versions.streams.get(version)!.folded).context;
  return { stable, accuracy: training?.accuracy ?? null };
}

interface Known extends KnownFleet {
  readonly frozen: FrozenEvidence;
}

/** Undefined under fixed limits, which fix nothing. */
async function readKnown(deps: Deps, { modelId, spec }: Of): Promise<Known | undefined> {
  const policy = evidencePolicy(spec);
  if (!policy) return undefined;
  const { stable, accuracy } = await stableOf(deps, modelId);
  const { cohort = null, exclude = null } = spec;
  const fleet = await deps.fleet.readFleet({ modelId, stable, cohort, exclude });
  const hasStable = stable !== null;
  return { leaves: fleet.leaves, hasStable, frozen: freezeReading(fleet, { hasStable, accuracy }, policy) };
}

/** For RolloutStarted and the first StageEntered. */
export async function startEvidence(
  deps: Deps,
  of: Of,
): Promise<{ readonly frozen?: FrozenEvidence; readonly evidence?: StageEvidence }> {
  const known = await readKnown(deps, of);
  const policy = evidencePolicy(of.spec);
  if (!known || !policy) return {};
  return { frozen: known.frozen, evidence: foreseeStage(of.spec, policy, 0, known, known.frozen) };
}

/** For a later StageEntered: segments of the fleet as it is now, metrics as they were frozen. */
export async function nextStageEvidence(
  deps: Deps,
  { modelId, spec, stage, frozen }: RolloutContext,
): Promise<{ readonly evidence?: StageEvidence }> {
  const policy = spec && evidencePolicy(spec);
  if (!spec || !policy || !spec.stages[stage + 1]) return {};
  const known = await readKnown(deps, { modelId, spec });
  return known ? { evidence: foreseeStage(spec, policy, stage + 1, known, frozen ?? known.frozen) } : {};
}

export interface Preflight {
  readonly hasControl: boolean;
  readonly measured: readonly string[];
  readonly stages: readonly StagePreflight[];
}

/** What each stage will be able to show on this fleet; undefined under fixed limits. */
export async function readPreflight(deps: Deps, of: Of): Promise<Preflight | undefined> {
  const known = await readKnown(deps, of);
  const evidence = evidencePolicy(of.spec);
  if (!known || !evidence) return undefined;
  const { leaves, hasStable: hasControl, frozen } = known;
  const { measured } = frozen;
  const stages = preflight({ stages: of.spec.stages, evidence }, { leaves, hasControl, measured });
  return { hasControl, measured, stages };
}
