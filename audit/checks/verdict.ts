/** Every recorded judgement judged again, from its own counters and the spec of its rollout. */
import type { AnyFact } from '../../domain/events/streams.ts';
import type { HealthJudgement, RolloutSpec, SetAside } from '../../domain/events/rollout.ts';
import type { EvidenceJudgement, FrozenEvidence, StageEvidence } from '../../domain/events/verdict.ts';
import { canonicalJson, canonicalSha } from '../../domain/hash/canonicalJson.ts';
import { durationMs } from '../../domain/duration.ts';
import { evidencePolicy, isEvidence } from '../../domain/rollout/policies.ts';
import { recheck } from '../../domain/rollout/thresholds.ts';
import { recheckEvidence } from '../../domain/rollout/verdict/index.ts';
import { subjectOfRow, type FactRow, type Findings } from '../finding.ts';

interface Rollout {
  readonly spec: RolloutSpec;
  /** What the start froze, and what each stage fixed; the newest of each. */
  frozen: FrozenEvidence | undefined;
  readonly stages: Map<number, StageEvidence | undefined>;
  readonly proven: Set<string>;
  /** By content. */
  readonly convictions: Set<string>;
  readonly setAsides: Set<string>;
}

const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

/** `verdict is "REGRESSED", due is "HEALTHY"`, for each member that differs. */
function differences(judgement: HealthJudgement, expected: HealthJudgement): string {
  const due = new Map<string, unknown>(Object.entries(expected));
  const is = new Map<string, unknown>(Object.entries(judgement));
  return [...new Set([...is.keys(), ...due.keys()])]
    .filter((key) => shownWhole(is.get(key)) !== shownWhole(due.get(key)))
    .map((key) => `${key} is ${shown(is.get(key))}, due is ${shown(due.get(key))}`)
    .join('; ');
}
/** What a judgement says it was given, and the facts before it do not: each such member with what is due. */
function notAsFixed({ frozen, stages, proven }: Rollout, { stage, given }: EvidenceJudgement): string {
  const fixed = stages.get(stage);
  const due: Partial<EvidenceJudgement['given']> = {
    has_control: fixed?.has_control ?? false,
    can_prove: fixed?.can_prove ?? false,
    segments: fixed?.segments.length ?? 0,
    measured: frozen?.measured ?? [],
    frozen_q: frozen?.frozen_q ?? {},
  };
  const is = new Map<string, unknown>(Object.entries(given));
  const wrong = Object.entries(due).filter(([name, value]) => shownWhole(is.get(name)) !== shownWhole(value));
  const unproven = given.proven_before.filter((metric) => !proven.has(metric));
  return [
    ...wrong.map(([name, value]) => `${name} is ${shown(is.get(name))}, fixed was ${shown(value)}`),
    ...unproven.map((metric) => `${metric} was not proven before`),
  ].join('; ');
}

/** By its own algorithm, which must be the one of the spec. */
function again(
  judgement: HealthJudgement,
  spec: RolloutSpec,
): { equal: boolean; expected: HealthJudgement | undefined } {
  const evidence = evidencePolicy(spec);
  if (isEvidence(judgement) !== (evidence !== undefined)) return { equal: false, expected: undefined };
  if (!isEvidence(judgement)) return recheck(judgement, spec);
  return evidence
    ? recheckEvidence(judgement, { stages: spec.stages, evidence })
    : { equal: false, expected: undefined };
}
const shownWhole = (value: unknown) => (value === undefined ? '' : canonicalJson(value));

/**
 * Judges the rollout of one stream: a judgement that its own integers do not give (`verdict_forged`), one that was given what start and stage
 * did not fix (`given_forged`), one that sets downloads aside which nobody set aside (`set_aside_unknown`), a stage that runs otherwise than its
 * spec says (`stage_forged`), and a rollback by verdict without that verdict (`evidence_forged`). A rollout without its RolloutCreated is left to `divergence`.
 *
 * @returns sees the facts of the stream that can be read, in log order
 */
export function judgeStream(findings: Findings): (row: FactRow, fact: AnyFact) => void {
  let rollout: Rollout | undefined;
  return (row, fact) => {
    const stream = row.event.stream_id;
    if (fact.type === 'RolloutCreated') {
      rollout = {
        spec: fact.data.spec,
        frozen: undefined,
        stages: new Map(),
        proven: new Set(),
        convictions: new Set(),
        setAsides: new Set(),
      };
      return;
    }
    if (!rollout) return;
    const tell = (code: string, what: string) => findings.add(code, `${stream}: ${what}`, subjectOfRow(row));
    if (fact.type === 'RolloutStarted') rollout.frozen = fact.data.evidence;
    if (fact.type === 'RolloutResumed' && fact.data.set_aside) rollout.setAsides.add(keyOf(fact.data.set_aside));
    if (fact.type === 'StageEntered') {
      const { stage, ramp_ms, min_bake_ms, max_bake_ms, evidence } = fact.data;
      rollout.stages.set(stage, evidence);
      const due = rollout.spec.stages[stage];
      const isDue =
        due !== undefined &&
        ramp_ms === durationMs(due.ramp) &&
        min_bake_ms === durationMs(due.min_bake) &&
        max_bake_ms === durationMs(due.max_bake);
      if (!isDue) tell('stage_forged', `stage ${stage} runs ${shown(fact.data)}, its spec says ${shown(due)}`);
    }
    if (fact.type === 'HealthJudged') {
      if (fact.data.verdict === 'REGRESSED') rollout.convictions.add(canonicalSha(fact.data));
      const { equal, expected } = again(fact.data, rollout.spec);
      if (!equal) {
        const what = expected
          ? differences(fact.data, expected)
          : `nothing can be judged from it: stage ${fact.data.stage} of ${rollout.spec.stages.length}`;
        tell('verdict_forged', `look ${fact.data.look} of stage ${fact.data.stage}: ${what}`);
      }
      if (isEvidence(fact.data)) {
        const foreign = notAsFixed(rollout, fact.data);
        if (foreign !== '') tell('given_forged', `look ${fact.data.look} of stage ${fact.data.stage}: ${foreign}`);
        // What a forged judgement calls proven is none for the next one.
        else if (equal) for (const metric of fact.data.proven) rollout.proven.add(metric);
      }
      const aside = isEvidence(fact.data) ? undefined : fact.data.set_aside;
      if (aside && !rollout.setAsides.has(keyOf(aside)))
        tell('set_aside_unknown', `look ${fact.data.look} sets aside ${shown(aside)}, which no resume did`);
    }
    if (fact.type === 'RolloutRolledBack' && fact.data.trigger === 'verdict') {
      const { evidence } = fact.data;
      if (!evidence || !rollout.convictions.has(canonicalSha(evidence)))
        tell('evidence_forged', `rolled back by a verdict that was not recorded: ${shown(evidence)}`);
    }
  };
}

const keyOf = ({ downloads, download_failures }: SetAside) => `${downloads}/${download_failures}`;
