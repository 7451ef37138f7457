/** Looks for tests: one stage, everything quiet, told and active. */
import { createReader } from '../specReader.ts';
import type { EvidenceLook, MetricEvidence } from './judge.ts';
import { METRICS } from './metrics.ts';
import { readEvidence } from './policy.ts';

export const HOUR = 3_600_000;

export const specOf = (request: Record<string, unknown> = {}): EvidenceLook['spec'] => ({
  stages: [10, 25, 50, 75, 100].map((percent) => ({ percent, ramp: '2h', min_bake: '24h', max_bake: '48h' })),
  evidence: readEvidence(createReader(), request, 5),
});

/** A metric with so many bad windows of so many, and canary's share of a tenth. */
export function seen(metric: string, x: number, y: number, more: Partial<MetricEvidence> = {}): MetricEvidence {
  const whole = { x, y, theta: (x + y) * 100_000 };
  return { metric, whole, opened: [2_000, 18_000], ended: [2_000, 18_000], segments: [], ...more };
}

export const CLEAN: readonly MetricEvidence[] = METRICS.map((row) => seen(row.name, 0, 0));
export const without = (...metrics: readonly MetricEvidence[]): MetricEvidence[] =>
  CLEAN.map((clean) => metrics.find((m) => m.metric === clean.metric) ?? clean);

export function lookOf(
  more: Partial<Omit<EvidenceLook, 'given'>> & { readonly given?: Partial<EvidenceLook['given']> } = {},
): EvidenceLook {
  const { given, ...rest } = more;
  return {
    spec: specOf(),
    stage: 0,
    evidenceStage: 0,
    look: 1,
    clockMs: 3 * HOUR,
    evidence: CLEAN,
    restOf: () => ({ x: 0, y: 0, theta: 0 }),
    ...rest,
    given: {
      has_control: true,
      measured: METRICS.map((row) => row.name),
      told: 2_000,
      active: 1_900,
      can_prove: false,
      proof_look: false,
      proven_before: [],
      segments: 20,
      frozen_q: {},
      silent_ms: 0,
      longest_gap_ms: 60_000,
      blind: false,
      good_looks_owed: 0,
      ...given,
    },
  };
}
