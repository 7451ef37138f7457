/** `modelVersion@1`: every state and command. */
import { describe, expect, it } from 'vitest';
import { LIFECYCLE_STATES } from '../domain/states.ts';
import { exists } from './fold.ts';
import { cellOf, row, tableOf } from './decisions.fixture.ts';
import { given, NOW, onnxFile, RUN, trainingCompleted, version as f } from './facts.fixture.ts';
import { isUsable, lifecycleState, versionMachine } from './modelVersion.ts';
import { decideVersion, type VersionCommand } from './versionDecision.ts';

const at = (...facts: Parameters<typeof given>[1]) => given(versionMachine, facts);
const decide = (state: ReturnType<typeof at>, command: VersionCommand) => decideVersion(state, command, NOW);

const trained = [f.drafted, f.trainingStarted, f.trainingCompleted];
const published = [...trained, f.publishRequested, f.published];
const live = [...published, f.deploymentStarted, f.deploymentCompleted];
const states = {
  None: at(),
  Draft: at(f.drafted),
  Training: at(f.drafted, f.trainingStarted),
  ready: at(...trained),
  publishing: at(...trained, f.publishRequested),
  Published: at(...published),
  rolling: at(...published, f.deploymentStarted),
  live: at(...live),
  standby: at(...live, f.superseded),
  Rollback: at(...live, f.rolledBack),
};
const columns = Object.keys(states);
const r = (text: string) => row(columns, text);

const commands: Record<string, VersionCommand> = {
  draft: { type: 'draft', data: f.drafted.data },
  startTraining: { type: 'startTraining', data: f.trainingStarted.data },
  completeTraining: { type: 'completeTraining', data: trainingCompleted },
  failTraining: { type: 'failTraining', data: f.trainingFailed.data },
  uploadArtifact: { type: 'uploadArtifact', data: { files: [onnxFile] } },
  requestPublish: { type: 'requestPublish', formats: ['safetensors'] },
  refusePublish: { type: 'refusePublish', data: f.publishRefused.data },
  publish: { type: 'publish', data: f.published.data },
  startDeployment: { type: 'startDeployment', rolloutId: 42 },
  completeDeployment: { type: 'completeDeployment', rolloutId: 42 },
  supersede: { type: 'supersede', by: '1.1.1', rolloutId: 43 },
  restore: { type: 'restore', rolloutId: 43 },
  rollBack: { type: 'rollBack', rolloutId: 42, reason: 'iOS fails' },
};

describe('modelVersion@1, every state × command', () => {
  it('is the way from Draft to Deployed, or to Rollback', () => {
    // prettier-ignore
    const expected = {
      //                    None | Draft | Training | ready | publishing | Published | rolling | live | standby | Rollback
      draft:              r('✓   | =     | newVersion | newVersion | newVersion | newVersion | newVersion | newVersion | newVersion | newVersion'),
      startTraining:      r('    | ✓     | =        |       |            |           |         |      |         |  '),
      completeTraining:   r('state sameRun | state sameRun | ✓ | |       |           |         |      |         |  '),
      failTraining:       r('state sameRun | state sameRun | ✓ | |       |           |         |      |         |  '),
      uploadArtifact:     r('    | ✓     |          | ✓     |            |           |         |      |         |  '),
      requestPublish:     r('    |       |          | ✓     | =          | =         | =       | =    | =       |  '),
      refusePublish:      r('state samePublication | state samePublication | state samePublication | state samePublication | ✓ | | | | |'),
      publish:            r('state samePublication | state samePublication | state samePublication | state samePublication | ✓ | = | = | = | = |'),
      startDeployment:    r('    |       |          |       |            | ✓         |         |      | ✓       |  '),
      completeDeployment: r('    |       |          |       |            |           | ✓       |      |         |  '),
      supersede:          r('    |       |          |       |            |           | ✓       | ✓    |         |  '),
      restore:            r('    |       |          |       |            |           |         | =    | ✓       |  '),
      rollBack:           r('    |       |          |       |            |           | ✓       | ✓    |         | ='),
    };
    expect(tableOf(states, commands, decide)).toEqual(expected);
  });

  it('shows six states by the names of the product', () => {
    const shown = new Set(Object.values(states).flatMap((s) => (exists(s) ? [lifecycleState(s.state)] : [])));
    expect([...shown]).toEqual(LIFECYCLE_STATES);
  });
});

describe('guards of modelVersion@1', () => {
  it('a draft of a version that exists is a conflict with it, not a step that this state refuses', () => {
    const other = { ...f.drafted.data, parent: '0.9.0' };
    expect(decide(states.Draft, { type: 'draft', data: other })).toMatchObject({
      refusal: { code: 'conflict', guards: [{ name: 'newVersion', why: '1.1.0 exists, made from 1.0.0' }] },
    });
  });

  it('a run ends only its own training', () => {
    const other = { run_id: '019ab000-0000-7000-8000-000000000002' };
    expect(cellOf(decide(states.Training, { type: 'failTraining', data: { ...other, reason: 'x' } }))).toBe('sameRun');
    const completed = { ...trainingCompleted, ...other };
    expect(cellOf(decide(states.Training, { type: 'completeTraining', data: completed }))).toBe('sameRun');
    expect(states.Training.context.runId).toBe(RUN);
  });

  it('a failed training makes it a Draft again, free for another run', () => {
    const failed = at(f.drafted, f.trainingStarted, f.trainingFailed);
    expect(failed.state).toBe('Draft');
    expect(cellOf(decide(failed, { type: 'startTraining', data: f.trainingStarted.data }))).toBe('✓');
  });

  it('uploaded bytes never change: the same again is already so, others conflict', () => {
    const uploaded = at(f.drafted, f.uploaded);
    expect(decide(uploaded, { type: 'uploadArtifact', data: f.uploaded.data }).kind).toBe('already');
    const other = { files: [{ ...f.uploaded.data.files[0]!, sha256: '9'.repeat(64) }] };
    const refused = decide(uploaded, { type: 'uploadArtifact', data: other });
    expect(cellOf(refused)).toBe('immutableFile');
    expect(refused).toMatchObject({ refusal: { code: 'conflict' } });
  });

  it('bytes of a run are not replaced by an upload: the lineage would lie', () => {
    const upload = (sha256: string) =>
      decide(at(...trained), {
        type: 'uploadArtifact',
        data: { files: [{ ...onnxFile, format: 'safetensors', sha256 }] },
      });
    expect(cellOf(upload('9'.repeat(64)))).toBe('immutableFile');
    expect(upload(trainingCompleted.artifact_sha).kind).toBe('already');
  });

  it('is published from its tensors: other files alone are not enough', () => {
    const other = { type: 'ArtifactUploaded', data: { files: [onnxFile] } } as const;
    const refused = decide(at(f.drafted, other), { type: 'requestPublish', formats: ['onnx'] });
    expect(cellOf(refused)).toBe('tensors');
  });

  it('a publication is numbered; after a refusal the next one is 2, and a late answer to 1 changes nothing', () => {
    const again = at(...trained, f.publishRequested, f.publishRefused);
    expect(decide(again, { type: 'requestPublish', formats: ['onnx'] })).toMatchObject({
      facts: [{ data: { n: 2, formats: ['onnx'] } }],
    });
    expect(decide(again, { type: 'refusePublish', data: f.publishRefused.data }).kind).toBe('already');
    const second = at(...trained, f.publishRequested, f.publishRefused, {
      type: 'PublishRequested',
      data: { n: 2, formats: ['onnx'] },
    });
    expect(cellOf(decide(second, { type: 'publish', data: f.published.data }))).toBe('samePublication');
  });

  it('tells devices only what was published and not rolled back', () => {
    const usable = Object.entries(states).filter(([, s]) => isUsable(s.state));
    expect(usable.map(([name]) => name)).toEqual(['Published', 'rolling', 'live', 'standby']);
  });
});
