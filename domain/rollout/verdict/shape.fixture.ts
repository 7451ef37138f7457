/** Whether a judgement fits the shape that a fact would have. */
import Value from 'typebox/value';
import { EvidenceJudgement } from '../../events/verdict.ts';

/** What does not fit, in words; empty: it does. */
export const decodeJudgement = (judgement: unknown): string[] =>
  [...Value.Errors(EvidenceJudgement, judgement)].map((error) => JSON.stringify(error));
