/** The snippets of docs/formats.md pass the gate. */
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../hash/sha256.ts';
import { limitFor, openGate } from '../learning/index.ts';
import { checkEvaluationSet } from './evaluationSet.ts';
import { buildMlp } from './onnx/index.ts';
import { encodeUpdate, f32Tensor, isRefusal, readSafetensors, writeSafetensors } from './safetensors/index.ts';

/** The first TypeScript block of docs/formats.md; it uses no syntax that JavaScript lacks. */
function example(): string {
  const text = readFileSync(new URL('../../docs/formats.md', import.meta.url), 'utf8');
  const block = /```ts\n([\s\S]*?)```/.exec(text)?.[1];
  if (block === undefined) throw new Error('docs/formats.md has no example');
  return block;
}

describe('docs/formats.md', () => {
  it('shows files that the gate, the graph and the evaluation accept', () => {
    const names = { writeSafetensors, encodeUpdate, f32Tensor, sha256Hex, Float32Array, runId: 'run', taskId: 'task' };
    // The block's last three constants, as the page names them.
    const files = runInNewContext(`${example()}; ({ base, update, evaluationSet })`, names) as Record<
      'base' | 'update' | 'evaluationSet',
      Uint8Array
    >;
    const base = readSafetensors(files.base);
    if (isRefusal(base)) throw new Error(base.detail);
    const update = readSafetensors(files.update);
    if (isRefusal(update)) throw new Error(update.detail);
    const gate = openGate({
      base: base.tensors,
      baseSha: sha256Hex(files.base),
      roundId: 'run.1.1',
      taskId: 'task',
      maxNorm: null,
      limit: limitFor(10_000),
      spec: {
        admission: { max_norm: null, max_samples: 100_000, zero_samples: 'reject', per_device: 1 },
        aggregation: { rule: 'fedavg', weight: 'samples', weight_cap: 10_000 },
        metrics: ['loss', 'accuracy'],
      },
    });
    expect(gate.header(update)).toBeUndefined();
    for (const { name, data } of update.tensors) expect(gate.data(name, data, true)).toBeUndefined();
    expect(gate.verdict()).toMatchObject({ ok: true, samples: 600, metrics: { n: 600, loss_sum: 84.2, correct: 571 } });
    const architecture = { kind: 'mlp:relu:sigmoid', input_dim: 3, output_dim: 1 };
    expect(isRefusal(buildMlp(architecture, base.tensors))).toBe(false);
    expect(checkEvaluationSet(files.evaluationSet, architecture)).toMatchObject({ n: 2, loss: 'binary' });
  });
});
