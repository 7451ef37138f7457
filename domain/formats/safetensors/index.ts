/** Pure. The entry of the safetensors room. */
export { DTYPES, elementsOf, isDtype, isOtherFloat, sizeOf, type Dtype } from './dtype.ts';
export { compareTensors, compareUtf8 } from './order.ts';
export {
  findTensor,
  headerLength,
  parseHeader,
  readHeader,
  readSafetensors,
  type Header,
  type HeaderEntry,
  type SafetensorsFile,
} from './read.ts';
export { scanSafetensors, type Scan } from './scan.ts';
export { isFiniteTensor } from './finite.ts';
export { f32Tensor, f32Values, type Tensor } from './tensor.ts';
export { encodeUpdate, type Update, type UpdateMetrics } from './update.ts';
export { safetensorsHead, writeSafetensors, type Metadata, type TensorShape } from './write.ts';
export { isRefusal, refuse, type Refusal } from '../../refusal.ts';
