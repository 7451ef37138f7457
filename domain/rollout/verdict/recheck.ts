/** Pure. A judgement of `verdict@1` again, from what it records and the spec alone: for audit, which never decides again. */
import type { EvidenceJudgement } from '../../events/verdict.ts';
import { canonicalJson } from '../../hash/canonicalJson.ts';
import { judgeEvidence, type EvidenceSpec, type MetricEvidence } from './judge.ts';
import type { Metric } from './metrics.ts';

/**
 * Total: whatever a stored judgement or spec holds, it answers and does not throw.
 *
 * @returns `expected` is what the judgement should have been; undefined where nothing can be computed from what is recorded
 */
export function recheckEvidence(
  judgement: EvidenceJudgement,
  spec: EvidenceSpec,
  table?: readonly Metric[],
): { readonly equal: boolean; readonly expected: EvidenceJudgement | undefined } {
  try {
    const expected = again(judgement, spec, table);
    return { equal: canonicalJson(expected) === canonicalJson(judgement), expected };
  } catch {
    // A member of another kind than its schema says: no honest judgement looks so.
    return { equal: false, expected: undefined };
  }
}

function again(judgement: EvidenceJudgement, spec: EvidenceSpec, table?: readonly Metric[]): EvidenceJudgement {
  const evidence = judgement.metrics.map(({ metric, x, y, theta, opened, ended }): MetricEvidence => ({
    metric,
    whole: { x, y, theta },
    opened,
    ended,
    segments: judgement.segments.filter((segment) => segment.metric === metric),
  }));
  return judgeEvidence({
    spec,
    stage: judgement.stage,
    evidenceStage: judgement.evidence_stage,
    look: judgement.look,
    clockMs: judgement.clock_ms,
    given: judgement.given,
    evidence,
    restOf: (_metric, segment) => {
      const rest = judgement.guilt?.rest;
      if (rest?.segment !== segment) throw new RangeError(`no rest of ${segment} is recorded`);
      return rest;
    },
    ...(table === undefined ? {} : { table }),
  });
}
