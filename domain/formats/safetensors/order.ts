/** Pure. The canonical order of tensors and metadata keys: by UTF-8 bytes, which is code-point order. */
import { rankOf, type Dtype } from './dtype.ts';

/** UTF-16 units sort surrogates below U+E000–U+FFFF; UTF-8 bytes do not. This moves them to where UTF-8 has them. */
const lifted = (unit: number) => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Order of the UTF-8 bytes of two well-formed strings, without encoding them. */
export function compareUtf8(a: string, b: string): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return lifted(x) - lifted(y);
  }
  return a.length - b.length;
}

/** Dtype rank, then name: the order of data in a canonical file. */
export function compareTensors(
  a: { readonly name: string; readonly dtype: Dtype },
  b: { readonly name: string; readonly dtype: Dtype },
): number {
  return rankOf(a.dtype) - rankOf(b.dtype) || compareUtf8(a.name, b.name);
}
