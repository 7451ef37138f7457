/** A closed round becomes one model: a function of base, accepted updates and spec, to the last bit. */
import { createHash } from 'node:crypto';
import type { TrainingSpec } from '../../domain/events/training.ts';
import {
  acceptedRoot,
  gridFor,
  manifestBytes,
  poolMetrics,
  type Grid,
  type ManifestUpdate,
  type PooledFigures,
} from '../../domain/learning/index.ts';
import { isRefusal, type Refusal } from '../../domain/refusal.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { openFile } from './modelStream.ts';
import { stepModel } from './stepModel.ts';
import { sumUpdates, type Progress } from './sumUpdates.ts';

export interface RoundToAggregate extends Progress {
  readonly blobs: ArtifactStore;
  readonly baseSha: string;
  /** The frozen set, in any order. */
  readonly updates: readonly ManifestUpdate[];
  readonly spec: Pick<TrainingSpec, 'server_optimizer'>;
  /** From RoundClosed: what the set must add up to. */
  readonly acceptedRoot: string;
}

export interface AggregatedRound {
  readonly modelSha: string;
  readonly modelBytes: number;
  readonly manifestSha: string;
  readonly grid: Grid;
  readonly updateNorm: number;
  /** Σ samples, as the devices claimed them. */
  readonly samples: number;
  readonly metrics: PooledFigures;
}

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());

/** Updates without samples weigh nothing and count for nothing while one has some; if none has, all weigh 1. */
function weighed(updates: readonly ManifestUpdate[]): { readonly weights: number[]; readonly counted: number } {
  const weights = updates.map((u) => u.weight);
  const counted = weights.filter((w) => w > 0).length;
  return counted > 0 ? { weights, counted } : { weights: weights.map(() => 1), counted: weights.length };
}

/**
 * Aggregates a closed round. Idempotent: a retry from any crash point stores the same blobs under the same hashes.
 *
 * @returns  the data of RoundAggregated, or why the round is abandoned: `checksum_mismatch` (bytes or rows are not those that
 *           were accepted) or `non_finite` (the step left the float range)
 * @throws   LifecycleError `blob_unknown`; the signal's reason
 */
export async function aggregateUpdates(
  round: RoundToAggregate,
): Promise<AggregatedRound | Refusal<'non_finite' | 'checksum_mismatch'>> {
  const { blobs, baseSha, spec, beat, signal } = round;
  const { root, updates } = acceptedRoot(round.updates, hash);
  if (root !== round.acceptedRoot)
    return {
      code: 'checksum_mismatch',
      detail: `the rows' root is ${root}, the round was closed with ${round.acceptedRoot}`,
    };
  const { weights, counted } = weighed(updates);
  const grid = gridFor(
    counted,
    updates.reduce((most, u, i) => Math.max(most, weights[i]! * u.maxAbs), 0),
  );
  const base = await openFile(blobs, baseSha);
  if (isRefusal(base)) return { code: 'checksum_mismatch', detail: `base ${baseSha} cannot be read: ${base.detail}` };
  try {
    const weighted = updates.map((u, i) => ({ updateSha: u.updateSha, weight: weights[i]! }));
    const sum = await sumUpdates(blobs, base.header, weighted, grid.q, { beat, signal });
    if (!(sum instanceof Float64Array)) return sum;
    const total = weights.reduce((a, b) => a + b, 0);
    const model = await stepModel(blobs, base, { sum, weights: total, lr: spec.server_optimizer.lr, signal });
    if (isRefusal(model)) return model;
    const manifest = manifestBytes({ baseSha, acceptedRoot: root, updates });
    const { sha256: manifestSha } = await blobs.put(manifest, { max: manifest.length });
    return {
      modelSha: model.sha256,
      modelBytes: model.bytes,
      manifestSha,
      grid,
      updateNorm: model.updateNorm,
      samples: updates.reduce((n, u) => n + u.samples, 0),
      metrics: poolMetrics(updates.map((u) => u.metrics)),
    };
  } finally {
    base.reader.close();
  }
}
