/** Pure. One sentence for each fact of a rollout, for timelines. */
import type { ModelFact } from '../events/model.ts';
import type { Conviction, HealthJudgement, RolloutFact } from '../events/rollout.ts';
import { isEvidence } from './policies.ts';
import { tellEvidence } from './verdict/telling.ts';
import { formatDuration } from '../duration.ts';

/** `error_rate 12/80 = 0.15 > 0.05`; latency in milliseconds. */
export function tellRule({ metric, numerator, denominator, op, limit }: Conviction): string {
  const value = denominator === 0 ? 0 : Math.round((numerator / denominator) * 10_000) / 10_000;
  return `${metric} ${numerator}/${denominator} = ${value} ${op} ${limit}`;
}

/** What decided, or what is missing; empty where there is nothing to add to the verdict. */
export function tellJudgement(judgement: HealthJudgement): string {
  if (isEvidence(judgement)) return tellEvidence(judgement);
  return judgement.rule ? tellRule(judgement.rule) : judgement.missing.join('; ');
}

/** What the fact says, without time and actor. */
export function tell(fact: RolloutFact | ModelFact): string {
  switch (fact.type) {
    case 'RolloutCreated':
      return `rollout of ${fact.data.version} planned, ${fact.data.previous ?? 'nothing'} being stable`;
    case 'RolloutStarted':
      return 'started';
    case 'StageEntered': {
      const { stage, to, ramp_ms, min_bake_ms, max_bake_ms, basis, reason } = fact.data;
      const bake = `${formatDuration(min_bake_ms)}–${formatDuration(max_bake_ms)}`;
      const why = basis === 'manual' ? ` by hand${reason === undefined ? '' : `: ${reason}`}` : '';
      return `stage ${stage} entered${why}: ${to / 100} %, ramp ${formatDuration(ramp_ms)}, bake ${bake}`;
    }
    case 'HealthJudged': {
      const told = tellJudgement(fact.data);
      return `stage ${fact.data.stage} judged ${fact.data.verdict}${told === '' ? '' : `: ${told}`}`;
    }
    case 'RolloutPaused':
      return `paused (${fact.data.cause}): ${fact.data.reason}`;
    case 'RolloutResumed':
      return fact.data.reason === undefined ? 'resumed' : `resumed: ${fact.data.reason}`;
    case 'RolloutCompleted':
      return fact.data.reason === undefined ? 'completed' : `completed by hand: ${fact.data.reason}`;
    case 'RolloutAborted':
      return `aborted: ${fact.data.reason}`;
    case 'RolloutRolledBack':
      return `rolled back to ${fact.data.target ?? 'nothing'}: ${fact.data.reason}`;
    case 'RootCauseRecorded':
      return 'root cause recorded';
    case 'StableVersionChanged':
      return `${fact.data.version} became stable`;
    case 'StableVersionRestored':
      return fact.data.version === null
        ? `no version is stable any more, after ${fact.data.from_version}`
        : `${fact.data.version} became stable again, in place of ${fact.data.from_version}`;
    case 'ModelRegistered':
      return `model ${fact.data.name} registered`;
    case 'ModelContractDeclared':
      return 'contract declared';
    case 'VersionListed':
      return `${fact.data.version} published`;
    default:
      return fact satisfies never;
  }
}
