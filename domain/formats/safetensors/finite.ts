/** Pure. Whether a tensor holds NaN or infinity, for every float of the format. */
import { f32Values, type Tensor } from './tensor.ts';

const view = ({ data }: Tensor) => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** 16-bit floats: infinite or NaN when every bit of the exponent is set. */
function has16BitExponent(tensor: Tensor, exponent: number): boolean {
  const words = view(tensor);
  for (let at = 0; at < words.byteLength; at += 2) if ((words.getUint16(at, true) & exponent) === exponent) return true;
  return false;
}

/** True for integers and booleans, which always are. */
export function isFiniteTensor(tensor: Tensor): boolean {
  switch (tensor.dtype) {
    case 'F32':
      return f32Values(tensor).every(Number.isFinite);
    case 'F64': {
      const values = view(tensor);
      for (let at = 0; at < values.byteLength; at += 8) if (!Number.isFinite(values.getFloat64(at, true))) return false;
      return true;
    }
    case 'F16':
      return !has16BitExponent(tensor, 0x7c00);
    case 'BF16':
      return !has16BitExponent(tensor, 0x7f80);
    default:
      return true;
  }
}
