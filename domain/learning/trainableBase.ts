/** Pure. Whether a model file can be the base of a training run. */
import { refuse, type Refusal } from '../refusal.ts';

/**
 * Undefined if the tensors can be trained: at least one F32 tensor with an element, and no other kind of float.
 *
 * @param tensors names, dtypes and shapes of the base, or of an `init_artifact`
 */
export function checkTrainableBase(
  tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[],
): Refusal | undefined {
  const other = tensors.find((t) => ['F64', 'F16', 'BF16'].includes(t.dtype));
  if (other) {
    return refuse('dtype_mismatch', `tensor "${other.name}" is ${other.dtype}; only F32 can be trained, convert it`, {
      tensor: other.name,
    });
  }
  if (!tensors.some((t) => t.dtype === 'F32' && !t.shape.includes(0)))
    return refuse('dtype_mismatch', 'the base holds no F32 tensor to train');
  return undefined;
}
