/** Pure. The storage classes of torch and the data types of their numbers. */
import type { Dtype } from '../safetensors/index.ts';

const BY_CLASS: ReadonlyMap<string, Dtype> = new Map([
  ['FloatStorage', 'F32'],
  ['DoubleStorage', 'F64'],
  ['HalfStorage', 'F16'],
  ['BFloat16Storage', 'BF16'],
  ['LongStorage', 'I64'],
  ['IntStorage', 'I32'],
  ['ShortStorage', 'I16'],
  ['CharStorage', 'I8'],
  ['ByteStorage', 'U8'],
  ['BoolStorage', 'BOOL'],
]);
const BY_DTYPE: ReadonlyMap<Dtype, string> = new Map([...BY_CLASS].map(([name, dtype]) => [dtype, name]));

export const dtypeOfStorage = (name: string): Dtype | undefined => BY_CLASS.get(name);
/** Undefined for wide unsigned integers, which torch does not have. */
export const storageOfDtype = (dtype: Dtype): string | undefined => BY_DTYPE.get(dtype);
