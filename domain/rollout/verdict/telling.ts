/** Pure. A judgement of `verdict@1` in words: who is named, by which numbers, and what is missing. */
import type { StagePreflight } from './preflight.ts';
import type { EvidenceJudgement, JudgedMetric, JudgedSegment } from '../../events/verdict.ts';

/** `ln G 12.3`: logs of evidence, with one decimal. */
const ln = (millionths: number): string => (millionths / 1_000_000).toFixed(1);

/** `7 of 52 devices bad, control 1 of 430`. @param counts which windows A counts */
const armsOf = (metric: JudgedMetric): string =>
  `${metric.x} of ${metric.opened[0]} canary devices bad, control ${metric.y} of ${metric.opened[1]}`;

/** The numbers of the segment, where it is named; else of everyone. */
export function tellGuilt({ guilt, metrics, segments, threshold }: EvidenceJudgement): string {
  if (!guilt) return '';
  const whole = metrics.find((m) => m.metric === guilt.metric);
  const named = segments.find((s) => s.metric === guilt.metric && s.segment === guilt.named);
  const who = guilt.named ?? 'everyone';
  if (named) return `${guilt.metric} of ${who}: ${tellSegment(named)} (needed ${ln(threshold)})`;
  const log = guilt.by === 'A' ? `ln A ${ln(whole?.ln_a ?? 0)}` : `ln G ${ln(worstOf(whole, segments, guilt.metric))}`;
  return `${guilt.metric} of ${who}: ${whole ? armsOf(whole) : ''}, ${log} (needed ${ln(threshold)})`;
}

/** What convicted: everyone together, or the worst segment, without which others are guilty too. */
const worstOf = (whole: JudgedMetric | undefined, segments: readonly JudgedSegment[], metric: string): number =>
  segments.reduce((most, s) => (s.metric === metric ? Math.max(most, s.ln_g) : most), whole?.ln_g ?? 0);

export const tellSegment = ({ x, y, ln_g }: JudgedSegment): string =>
  `${x} bad canary devices, control ${y}, ln G ${ln(ln_g)}`;

const DISTRUST = {
  stale: 'no report from anyone for too long',
  blind: 'a signal says that telemetry cannot be believed',
  recovering: 'reports are back, and 10 good looks in a row are not complete',
} as const;

/** What decided, or what is missing; empty where there is nothing to add to the verdict. */
export function tellEvidence(judgement: EvidenceJudgement): string {
  const { verdict, distrust, over_limit: over, metrics, threshold, missing } = judgement;
  if (distrust !== null) return DISTRUST[distrust];
  if (verdict === 'REGRESSED') return tellGuilt(judgement);
  if (verdict === 'HELD')
    return metrics
      .filter((m) => over.includes(m.metric))
      .map((m) => `${m.metric}: ${armsOf(m)}, ln A ${ln(m.ln_a ?? 0)} (needed ${ln(threshold)})`)
      .join('; ');
  return verdict === 'HEALTHY' ? `proven: ${judgement.proven.join(', ')}` : missing.join('; ');
}

/** What a stage will be able to show, in one sentence or two. */
export function tellPreflight({ canary, control, canProve, metrics }: StagePreflight): string {
  const seen = metrics.filter((m) => m.convicts !== null).map((m) => `${m.metric} at ${m.convicts} times`);
  const blind = metrics.filter((m) => m.convicts === null).map((m) => m.metric);
  return [
    `${canary} canary and ${control} control devices`,
    seen.length > 0 ? `convicts ${seen.join(', ')}` : 'convicts nothing that was tried',
    ...(blind.length > 0 ? [`cannot convict ${blind.join(', ')} below 20 times`] : []),
    canProve ? 'a healthy version is proven' : 'cannot prove health: it ends quiet if there is no alarm',
  ].join('; ');
}
