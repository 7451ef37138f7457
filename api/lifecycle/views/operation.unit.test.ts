/** What a training run's operation answers. */
import { asLogIndex } from '../../../domain/brands.ts';
import { describe, expect, it } from 'vitest';
import {
  given,
  MODEL,
  requested,
  RUN,
  sha,
  training as f,
  trainingCompleted,
  trainingSpec,
  version,
} from '../../../machines/facts.fixture.ts';
import { versionMachine } from '../../../machines/modelVersion.ts';
import { trainingMachine } from '../../../machines/trainingRun.ts';
import type { View } from '../../reading.ts';
import { operationView } from './operation.ts';

describe('the operation of a training run', () => {
  it('answers the figures of the version, and never those that devices reported in their place', async () => {
    const spec = { ...trainingSpec, evaluation: { set: sha('5') } };
    const heldOut = { ...f.requested, data: { ...requested, spec } };
    const run = [heldOut, f.opened(), f.closed(), f.aggregated(), f.stopped, f.succeeded];
    const completed = { type: 'TrainingCompleted', data: { ...trainingCompleted, loss: null, accuracy: null } };
    const streams: Pick<View, 'position' | 'training' | 'version'> = {
      position: asLogIndex(7),
      training: () => Promise.resolve({ state: given(trainingMachine, run), first: undefined }),
      version: () =>
        Promise.resolve({
          state: given(versionMachine, [version.drafted, version.trainingStarted, completed]),
          first: undefined,
        }),
    };
    // Safe: the operation of a training run reads these only.
    const operation = await operationView(streams as View, `training:${RUN}`, 'http://localhost');
    expect(operation).toMatchObject({
      state: 'succeeded',
      links: { version: expect.stringContaining(MODEL) as string },
      result: { rounds: 1, participants: 3, loss: null, accuracy: null },
    });
  });
});
