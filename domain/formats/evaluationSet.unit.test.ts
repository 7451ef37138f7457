/** Which files are an evaluation set for an architecture. */
import { describe, expect, it } from 'vitest';
import type { Architecture } from '../events/model.ts';
import { checkEvaluationSet, labelValues } from './evaluationSet.ts';
import { f32Tensor, isRefusal, writeSafetensors, type Tensor } from './safetensors/index.ts';

const classes = (...values: number[]): Tensor => {
  return {
    name: 'labels',
    dtype: 'I64',
    shape: [values.length],
    data: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
  };
};
const input = (rows: number, columns: number, ...values: number[]) =>
  f32Tensor('input', [rows, columns], Float32Array.from(values));
const logistic: Architecture = { kind: 'mlp:relu:sigmoid', input_dim: 2, output_dim: 1 };
const softmax: Architecture = { kind: 'mlp:relu:softmax', input_dim: 2, output_dim: 3 };

describe('checkEvaluationSet', () => {
  const check = (tensors: Tensor[], architecture: Architecture | null) =>
    checkEvaluationSet(writeSafetensors(tensors), architecture);
  const three = input(3, 2, 1, 2, 3, 4, 5, 6);
  const ones = f32Tensor('labels', [3], Float32Array.of(1, 0, 1));

  it('accepts what fits', () => {
    expect(check([three, ones], logistic)).toMatchObject({ n: 3, loss: 'binary' });
    expect(check([three, classes(0, 1, 2)], softmax)).toMatchObject({ n: 3, loss: 'classes' });
    expect(check([three, classes(0, 1, 2)], { ...softmax, kind: 'mlp' })).toMatchObject({ loss: 'classes' });
  });

  const cases: [string, Tensor[], Architecture | null, string][] = [
    ['no graph', [three, ones], null, 'graph_required'],
    ['one raw output', [three, ones], { ...logistic, kind: 'mlp:relu:linear' }, 'invalid_input'],
    ['sigmoids of several labels', [three, ones], { ...softmax, kind: 'mlp:relu:sigmoid' }, 'invalid_input'],
    ['no labels', [three], logistic, 'missing_tensor'],
    ['no input', [ones], logistic, 'missing_tensor'],
    ['something else', [three, ones, f32Tensor('x', [], Float32Array.of(1))], logistic, 'unknown_tensor'],
    ['whole labels for a sigmoid', [three, classes(0, 1, 1)], logistic, 'dtype_mismatch'],
    ['float labels for classes', [three, ones], softmax, 'dtype_mismatch'],
    ['other lengths', [three, f32Tensor('labels', [2], Float32Array.of(1, 0))], logistic, 'shape_mismatch'],
    ['another width', [three, ones], { ...logistic, input_dim: 3 }, 'shape_mismatch'],
    ['nothing to judge by', [input(0, 2), f32Tensor('labels', [0], new Float32Array(0))], logistic, 'shape_mismatch'],
  ];
  it.each(cases)('refuses %s', (_, tensors, architecture, code) => {
    expect(check(tensors, architecture)).toMatchObject({ code });
  });

  it('refuses labels that are no class and no probability, by their place', () => {
    const valuesOf = (labels: Tensor, architecture: Architecture) => {
      const layout = check([three, labels], architecture);
      if (isRefusal(layout)) throw new Error(layout.detail);
      return labelValues(layout, labels.data);
    };
    const floats = (...values: number[]) => f32Tensor('labels', [3], Float32Array.from(values));
    expect(valuesOf(classes(0, 2, 1), softmax)).toEqual(Float64Array.of(0, 2, 1));
    expect(valuesOf(classes(0, 3, 1), softmax)).toMatchObject({
      code: 'invalid_input',
      detail: 'label 1 is 3, expected 0 to 2',
    });
    expect(valuesOf(classes(-1, 0, 1), softmax)).toMatchObject({ code: 'invalid_input' });
    expect(valuesOf(floats(0, 0.5, 1), logistic)).toEqual(Float64Array.of(0, 0.5, 1));
    for (const bad of [Number.NaN, 1.5, -1, Infinity])
      expect(valuesOf(floats(0, 1, bad), logistic)).toMatchObject({ code: 'invalid_input' });
  });

  it('refuses what is no safetensors', () => {
    expect(checkEvaluationSet(new Uint8Array(20), logistic)).toMatchObject({ code: 'malformed_container' });
  });
});
