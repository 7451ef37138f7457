/** A look at the health of the stage is recorded; a conviction rolls back in the same append. */
import type { HealthJudgement } from '../domain/events/rollout.ts';
import { modelStream, rolloutStream, versionStream } from '../domain/events/streams.ts';
import { isEvidence } from '../domain/rollout/policies.ts';
import { tellGuilt } from '../domain/rollout/verdict/telling.ts';
import { rolloutMachine } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Conclusion, type DecidedPart, type Streams } from './execute.ts';
import { requireRollout } from './existing.ts';
import { foresee } from './foresee.ts';
import { rollbackParts } from './rollBack.ts';

export interface JudgeRollout {
  readonly rolloutId: number;
  readonly judgement: HealthJudgement;
}

/**
 * HealthJudged. REGRESSED under `on_regressed: rollback` adds the rollback's facts. It convicts also where a person has advanced or completed since the look, as long
 * as the version is the stable one then.
 */
export async function judgeRollout(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, judgement }: JudgeRollout,
): Promise<Outcome> {
  return execute(deps, caller, (streams) => concludeLook(streams, rolloutId, judgement));
}

async function concludeLook(streams: Streams, rolloutId: number, judgement: HealthJudgement): Promise<Conclusion> {
  const stream = rolloutStream(rolloutId);
  const rollout = await requireRollout(streams, rolloutId);
  const now = streams.now().getTime();
  const judged = decideRollout(rollout, { type: 'judge', judgement }, now);
  const parts: DecidedPart[] = [{ stream, decision: judged }];
  const convicts = judgement.verdict === 'REGRESSED' && rollout.context.spec?.on_regressed === 'rollback';
  if (judged.kind !== 'facts' || !convicts) return joinDecisions(parts);

  const { modelId, version } = rollout.context;
  await streams.preload([modelStream(modelId), versionStream(modelId, version)]);
  const after = foresee(rolloutMachine, rollout, judged, now);
  const reason = reasonOf(judgement);
  const rollback = await rollbackParts(streams, rolloutId, after, { reason, trigger: 'verdict', evidence: judgement });
  return joinDecisions([...parts, ...rollback.parts]);
}

/** One sentence with the numbers, from the rule that convicted. */
function reasonOf(judgement: HealthJudgement): string {
  const { stage, look } = judgement;
  if (isEvidence(judgement)) return `${tellGuilt(judgement)} in stage ${stage}, look ${look}`;
  const { rule } = judgement;
  if (!rule) return `stage ${stage} regressed at look ${look}`;
  const { metric, numerator, denominator, op, limit } = rule;
  return `${metric} ${numerator}/${denominator} ${op} ${limit} in stage ${stage}, look ${look}`;
}
