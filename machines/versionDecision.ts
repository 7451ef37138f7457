/** Pure. What a version answers to a command: facts, a refusal with its guards, or that it is so already. */
import type { HealthBasis } from '../domain/events/rollout.ts';
import type { ArtifactFile, VersionFact } from '../domain/events/version.ts';
import { SAFETENSORS } from '../domain/formats/fileFormats.ts';
import { already, decideFacts, guard, refuseByGuards, type Decision } from './decision.ts';
import { isUsable, versionMachine, type VersionContext, type VersionState } from './modelVersion.ts';

type DataOf<T extends VersionFact['type']> = Extract<VersionFact, { type: T }>['data'];
export type VersionCommand =
  | { type: 'draft'; data: DataOf<'VersionDrafted'> }
  | { type: 'startTraining'; data: DataOf<'TrainingStarted'> }
  | { type: 'completeTraining'; data: DataOf<'TrainingCompleted'> }
  | { type: 'failTraining'; data: DataOf<'TrainingFailed'> }
  | { type: 'uploadArtifact'; data: DataOf<'ArtifactUploaded'> }
  | { type: 'requestPublish'; formats: readonly string[] }
  | { type: 'refusePublish'; data: DataOf<'PublishRefused'> }
  | { type: 'cancelPublish'; reason: string }
  | { type: 'publish'; data: DataOf<'VersionPublished'> }
  | { type: 'startDeployment'; rolloutId: number }
  | { type: 'completeDeployment'; rolloutId: number; basis?: HealthBasis | null }
  | { type: 'supersede'; by: string | null; rolloutId: number }
  | { type: 'restore'; rolloutId: number }
  | { type: 'rollBack'; rolloutId: number; reason: string };

/** What may follow in the version's own stream. Never throws. A repeat of what is so already is `already`. */
export function decideVersion(state: VersionState, command: VersionCommand, now: number): Decision<VersionFact> {
  const { context } = state;
  const decide = (facts: VersionFact[], guards: ReturnType<typeof guard>[] = [], code?: 'conflict') =>
    decideFacts(versionMachine, state, command.type, facts, guards, now, code);
  switch (command.type) {
    case 'draft':
      if (state.state === 'Draft' && context.parent === command.data.parent) return already;
      if (state.state !== 'None') return exists(state);
      return decide([{ type: 'VersionDrafted', data: command.data }]);
    case 'startTraining':
      if (state.state === 'Training' && context.runId === command.data.run_id) return already;
      return decide([{ type: 'TrainingStarted', data: command.data }]);
    case 'completeTraining':
      return decide([{ type: 'TrainingCompleted', data: command.data }], [sameRun(context, command.data.run_id)]);
    case 'failTraining':
      return decide([{ type: 'TrainingFailed', data: command.data }], [sameRun(context, command.data.run_id)]);
    case 'uploadArtifact': {
      // A trained version has its tensors from its run: other bytes under its name would make the lineage lie.
      const known = ({ format }: ArtifactFile) =>
        (format === SAFETENSORS.name ? context.training?.artifact_sha : undefined) ??
        context.uploaded.find((u) => u.format === format)?.sha256;
      if (command.data.files.every((f) => known(f) === f.sha256)) return already;
      const clash = command.data.files.find((f) => known(f) !== undefined && known(f) !== f.sha256);
      return decide(
        [{ type: 'ArtifactUploaded', data: command.data }],
        [
          guard(
            'immutableFile',
            clash === undefined,
            clash ? `a ${clash.format} file with other bytes is stored` : 'no other bytes of that format',
            'draft a new version for other bytes',
          ),
        ],
        'conflict',
      );
    }
    case 'requestPublish':
      if (state.state === 'Trained.publishing' || isUsable(state.state)) return already;
      return decide(
        [{ type: 'PublishRequested', data: { n: context.publications + 1, formats: [...command.formats] } }],
        [
          guard(
            'tensors',
            context.tensorsSha !== null || state.state !== 'Trained.ready',
            context.tensorsSha === null ? 'no safetensors file is attached' : 'its tensors are stored',
            'attach the weights as safetensors: every format is built from them',
          ),
        ],
      );
    case 'refusePublish':
      if (context.lastRefusal?.n === command.data.n) return already;
      return decide([{ type: 'PublishRefused', data: command.data }], [samePublication(context, command.data.n)]);
    case 'cancelPublish': {
      const n = context.publications;
      if (state.state === 'Trained.ready' && context.lastRefusal?.n === n) return already;
      // Without a publication the number is never stored: the state refuses.
      return decide([
        { type: 'PublishRefused', data: { n: Math.max(1, n), code: 'cancelled', checks: [], reason: command.reason } },
      ]);
    }
    case 'publish':
      if (isUsable(state.state)) return already;
      return decide([{ type: 'VersionPublished', data: command.data }], [samePublication(context, command.data.n)]);
    case 'startDeployment':
      return decide([{ type: 'DeploymentStarted', data: { rollout_id: command.rolloutId } }]);
    case 'completeDeployment':
      return decide([
        {
          type: 'DeploymentCompleted',
          data: { rollout_id: command.rolloutId, ...(command.basis == null ? {} : { basis: command.basis }) },
        },
      ]);
    case 'supersede':
      return decide([{ type: 'VersionSuperseded', data: { by: command.by, rollout_id: command.rolloutId } }]);
    case 'restore':
      if (state.state === 'Deployed.live') return already;
      return decide([{ type: 'VersionRestored', data: { rollout_id: command.rolloutId } }]);
    case 'rollBack':
      if (state.state === 'Rollback') return already;
      return decide([{ type: 'VersionRolledBack', data: { rollout_id: command.rolloutId, reason: command.reason } }]);
  }
}

const exists = ({ state, context }: VersionState): Decision<VersionFact> => {
  const made = context.parent === null ? 'without a parent' : `made from ${context.parent}`;
  const howToMeet = 'use the one that exists, or draft a version with another number';
  const isNew = guard('newVersion', false, `${context.version} exists, ${made}`, howToMeet);
  return refuseByGuards(state, 'draft', [isNew], 'conflict');
};

const sameRun = (context: VersionContext, runId: string) =>
  guard(
    'sameRun',
    context.runId === runId,
    `the version is trained by run ${context.runId ?? 'none'}`,
    'end the run that holds the version',
  );

const samePublication = (context: VersionContext, n: number) =>
  guard('samePublication', context.publications === n, `publication ${context.publications} is running`, 'reload');
