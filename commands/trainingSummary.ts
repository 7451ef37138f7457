/** What lineage shows of a training run (docs/design/learning.md "Lineage of a trained version"), folded from its rounds. */
import type { TrainingFact } from '../domain/events/training.ts';
import type { TrainingCompletedData } from '../domain/events/version.ts';
import { canonicalJson } from '../domain/hash/canonicalJson.ts';
import { leafHash, merkleRoot } from '../domain/hash/merkle.ts';
import { bytesToHex, utf8ToBytes } from '../domain/hash/sha256.ts';
import type { AggregatedRound, TrainingContext } from '../machines/trainingRun.ts';

type Stopped = Extract<TrainingFact, { type: 'TrainingStopped' }>['data'];

/** An event holds 64 KB; longer chains are kept as their tree hash. */
const CHAIN_LIMIT = 200;

/**
 * Data of TrainingCompleted.
 *
 * @param participants distinct devices with an accepted update in an aggregated round
 */
export function trainingSummary(
  runId: string,
  context: TrainingContext,
  stopped: Stopped | null,
  participants: number,
): TrainingCompletedData {
  const { rounds, spec } = context;
  const last = rounds.at(-1);
  const isHeldOut = !!spec?.evaluation;
  const closed = rounds.map((r) => r.closed);
  return {
    run_id: runId,
    base: context.base,
    spec_sha: context.specSha,
    rounds_planned: spec?.rounds ?? 0,
    rounds: rounds.length,
    rounds_abandoned: context.abandoned,
    participants,
    updates: sum(closed.map((c) => c.accepted)),
    refused: addCounts(closed.map((c) => c.refused)),
    samples: sum(rounds.map((r) => r.aggregated.samples)),
    bytes_up: sum(closed.map((c) => c.bytes_up)),
    ...figuresOf(last, isHeldOut),
    first: figuresOf(rounds[0], isHeldOut),
    best_round: bestRound(rounds, isHeldOut),
    selected_round: last?.round ?? 0,
    stop: { rule: stopped?.rule ?? 'rounds', numbers: { ...stopped?.numbers } },
    converged: null,
    chain: chainOf(rounds),
    artifact_sha: last?.aggregated.model_sha ?? context.base.sha,
    artifact_bytes: last?.aggregated.model_bytes ?? 0,
  };
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

function addCounts(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const [code, n] of counts.flatMap((c) => Object.entries(c))) total[code] = (total[code] ?? 0) + n;
  return total;
}

/**
 * One kind for the whole run, so that rounds compare: held-out figures where the spec asks for them (null for a round that was not
 * evaluated, such as the last one of a run stopped by hand), else what devices reported.
 */
function figuresOf(
  round: AggregatedRound | undefined,
  isHeldOut: boolean,
): { loss: number | null; accuracy: number | null } {
  const from = isHeldOut ? round?.evaluated : round?.aggregated.metrics;
  return { loss: from?.loss ?? null, accuracy: from?.accuracy ?? null };
}

/** By accuracy where any round has one, else by loss; the earlier of equals; null where nothing was measured. */
function bestRound(rounds: readonly AggregatedRound[], isHeldOut: boolean): number | null {
  const scored = rounds.map((r) => ({ round: r.round, ...figuresOf(r, isHeldOut) }));
  const byAccuracy = scored.some((s) => s.accuracy !== null);
  let best: { round: number; score: number } | undefined;
  for (const { round, loss, accuracy } of scored) {
    const score = byAccuracy ? accuracy : loss === null ? null : -loss;
    if (score !== null && (!best || score > best.score)) best = { round, score };
  }
  return best?.round ?? null;
}

function chainOf(rounds: readonly AggregatedRound[]): TrainingCompletedData['chain'] {
  const chain = rounds.map((r) => ({
    round: r.round,
    accepted_root: r.closed.accepted_root,
    model_sha: r.aggregated.model_sha,
  }));
  if (chain.length <= CHAIN_LIMIT) return chain;
  const leaves = chain.map((entry) => leafHash(utf8ToBytes(canonicalJson(entry))));
  return { root: bytesToHex(merkleRoot(leaves)), length: chain.length };
}
