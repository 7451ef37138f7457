/**
 * Pure. Command ids of workflows: `<process>/<epoch>/<step>`, made here only. They come from the log (epoch, round, look), never
 * from a run or an activity, so that a repeat after a lost answer, or after a lost Temporal, is the same command.
 */
import type { ModelId, Semver } from '../brands.ts';
import { rolloutStream, trainingStream } from './streams.ts';

export const enterStageId = (rolloutId: number, epoch: number, stage: number) =>
  `${rolloutStream(rolloutId)}/${epoch}/stage-${stage}/enter`;
export const judgeId = (rolloutId: number, epoch: number, stage: number, look: number) =>
  `${rolloutStream(rolloutId)}/${epoch}/stage-${stage}/judge-${look}`;
export const completeId = (rolloutId: number, epoch: number) => `${rolloutStream(rolloutId)}/${epoch}/complete`;
export const pauseStageId = (rolloutId: number, epoch: number, stage: number) =>
  `${rolloutStream(rolloutId)}/${epoch}/pause-${stage}`;

export type RoundStep = 'open' | 'close' | 'aggregate' | 'evaluate' | 'abandon';
export const roundStepId = (runId: string, round: number, attempt: number, step: RoundStep) =>
  `${trainingStream(runId)}/${round}.${attempt}/${step}`;
/** `resumes`: TrainingResumed facts so far, since each makes a pause legal again. */
export const pauseRunId = (runId: string, round: number, attempt: number, resumes: number) =>
  `${trainingStream(runId)}/${round}.${attempt}/pause${resumes === 0 ? '' : `-${resumes}`}`;
export const finishRunId = (runId: string) => `${trainingStream(runId)}/finish`;

export const publishStepId = (modelId: ModelId, version: Semver, n: number, step: 'published' | 'refused') =>
  `${modelId}@${version}/${n}/${step}`;
