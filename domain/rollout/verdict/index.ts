/** Pure. The judge `verdict@1`: what windows, chart, doors and audit use of it (docs/design/judge.md "One look"). */
export { ranked } from './attribution.ts';
export { excessOf, shareOf, type Tally } from './comparison.ts';
export { consequenceOf, type Consequence } from './consequence.ts';
export { uniformOf } from './drawn.ts';
export { deviceLeaf, type SayingDevice } from './leaf.ts';
export { evidenceSha, judgeEvidence, type EvidenceLook, type EvidenceSpec, type MetricEvidence } from './judge.ts';
export { foreseeStage, freeze, stageEvidence, type KnownFleet } from './freeze.ts';
export { badWrong, METRICS, type Metric } from './metrics.ts';
export { EVIDENCE_MEMBERS, maxErrorRate, readEvidence } from './policy.ts';
export { preflight, preflightStage, stageBuckets, type Fleet, type StagePreflight } from './preflight.ts';
export { isProofLook } from './proof.ts';
export type {
  EvidenceReader,
  EvidenceStage,
  FleetQuestion,
  FleetReading,
  StageQuestion,
  StageReading,
  SweptStage,
} from './reading.ts';
export { recheckEvidence } from './recheck.ts';
export { ATTRIBUTES, segmentsOf, testedSegments, type Attribute, type Leaf } from './segments.ts';
export { stratumOf, tallyOf, without, type Stratum } from './strata.ts';
export { GOOD_LOOKS, owedAfter, trustOf, type Distrust, type Reading } from './trust.ts';
export { slowFrom, watchReport, watchTold, type Place, type Watch, type WatchedStage } from './watch.ts';
export * from './windows.ts';
