/**
 * Pure. For tests: the spec of a run that asks for nothing but a version, by the defaults of
 * docs/design/learning.md "The spec of a run".
 */
import type { TrainingSpec } from '../events/training.ts';

export const trainingSpec: TrainingSpec = {
  model_id: 'm',
  base_version: '1.0.0',
  init_artifact: null,
  new_version: '1.1.0',
  rounds: 20,
  min_updates: 100,
  goal: 100,
  seed: 'f'.repeat(64),
  selection: { strategy: 'open', dropout: 0.1 },
  windows: { selection: '2m', report: '10m', extend: '10m' },
  on_quorum_miss: { retry: 3, backoff: ['1m', '30m'] },
  client: { epochs: 1, batch_size: 10, lr: 0.1, proximal_mu: 0 },
  aggregation: { rule: 'fedavg', weight: 'samples', weight_cap: 10_000 },
  server_optimizer: { name: 'sgd', lr: 1 },
  admission: { max_norm: null, max_samples: 100_000, zero_samples: 'reject', per_device: 1 },
  metrics: ['loss', 'accuracy'],
  retention: { updates: 'keep' },
  publish: false,
  evaluation: null,
};
