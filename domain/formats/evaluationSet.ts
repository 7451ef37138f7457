/** Pure. Held-out data as a safetensors file: `input` [N, in], and `labels` (F32 [N] for one sigmoid, else I64 [N] classes). */
import type { Architecture } from '../events/model.ts';
import { parseKind } from './architecture.ts';
import { isRefusal, readHeader, refuse, type Header, type HeaderEntry, type Refusal } from './safetensors/index.ts';

/** Binary cross-entropy of one sigmoid, or cross-entropy over classes; both from logits. */
export type LossKind = 'binary' | 'classes';

export interface EvaluationLayout {
  readonly n: number;
  readonly loss: LossKind;
  /** The largest label. */
  readonly most: number;
  readonly input: HeaderEntry;
  readonly labels: HeaderEntry;
}

const shapeText = (entry: HeaderEntry | undefined) =>
  entry ? `${entry.dtype} [${entry.shape.join(', ')}]` : 'missing';

function lossOf(architecture: Architecture): LossKind | Refusal {
  const kind = parseKind(architecture);
  if (isRefusal(kind)) return kind;
  const outputs = architecture.output_dim;
  if (kind.output === 'sigmoid' && outputs === 1) return 'binary';
  if (kind.output !== 'sigmoid' && outputs >= 2) return 'classes';
  return refuse(
    'invalid_input',
    `${architecture.kind} with ${outputs} outputs has no loss here: use one sigmoid, or two or more classes`,
  );
}

/** Whether the set fits the model. Refusals are 422: `graph_required`, `invalid_input`, `shape_mismatch`, `dtype_mismatch`. */
export function evaluationLayout(header: Header, architecture: Architecture | null): EvaluationLayout | Refusal {
  if (!architecture)
    return refuse('graph_required', 'evaluation needs a graph to run: declare `architecture` with the model');
  const loss = lossOf(architecture);
  if (typeof loss !== 'string') return loss;
  const [input, labels] = ['input', 'labels'].map((name) => header.entries.find((e) => e.name === name));
  const extra = header.entries.find((e) => e.name !== 'input' && e.name !== 'labels');
  if (extra)
    return refuse('unknown_tensor', `the set holds "${extra.name}"; expected are input and labels only`, {
      tensor: extra.name,
    });
  if (!input || !labels)
    return refuse('missing_tensor', `tensor "${input ? 'labels' : 'input'}" is missing`, {
      tensor: input ? 'labels' : 'input',
    });
  const n = labels.shape[0] ?? 0;
  const columns = architecture.input_dim;
  if (input.dtype !== 'F32')
    return refuse('dtype_mismatch', `input must be F32, it is ${input.dtype}`, { tensor: 'input' });
  const wanted = loss === 'binary' ? 'F32' : 'I64';
  if (labels.dtype !== wanted)
    return refuse('dtype_mismatch', `labels must be ${wanted}, they are ${labels.dtype}`, { tensor: 'labels' });
  if (labels.shape.length !== 1 || n < 1)
    return refuse('shape_mismatch', `labels must be [N], N ≥ 1, they are ${shapeText(labels)}`, { tensor: 'labels' });
  if (input.shape.length !== 2 || input.shape[0] !== n || input.shape[1] !== columns)
    return refuse('shape_mismatch', `input must be [${n}, ${columns}], it is ${shapeText(input)}`, { tensor: 'input' });
  const most = loss === 'binary' ? 1 : architecture.output_dim - 1;
  return { n, loss, most, input, labels };
}

/**
 * The labels of a set as numbers, or `invalid_input` that names the first outside 0 to `most`. Never throws.
 *
 * @param data bytes of the tensor `labels`, little-endian
 */
export function labelValues({ loss, most }: EvaluationLayout, data: Uint8Array): Float64Array | Refusal {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const size = loss === 'binary' ? 4 : 8;
  const values = new Float64Array(data.byteLength / size);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = loss === 'binary' ? view.getFloat32(4 * i, true) : Number(view.getBigInt64(8 * i, true));
    if (!(values[i]! >= 0 && values[i]! <= most))
      return refuse('invalid_input', `label ${i} is ${values[i]}, expected 0 to ${most}`, { tensor: 'labels' });
  }
  return values;
}

/**
 * The check of a training request's evaluation set, before any run. Never throws.
 *
 * @param bytes the whole file
 */
export function checkEvaluationSet(bytes: Uint8Array, architecture: Architecture | null): EvaluationLayout | Refusal {
  const header = readHeader(bytes);
  return isRefusal(header) ? header : evaluationLayout(header, architecture);
}
