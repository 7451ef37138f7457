/** Pure. The data types of safetensors in the order in which a canonical file lays them out, and their sizes. */

/** Rank order: wide alignments first, so that every tensor of a canonical file is aligned. */
export const DTYPES = [
  'U64',
  'I64',
  'F64',
  'F32',
  'U32',
  'I32',
  'BF16',
  'F16',
  'U16',
  'I16',
  'I8',
  'U8',
  'BOOL',
] as const;
export type Dtype = (typeof DTYPES)[number];

const SIZES: Readonly<Record<Dtype, number>> = {
  U64: 8,
  I64: 8,
  F64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

const RANKS: ReadonlyMap<string, number> = new Map(DTYPES.map((dtype, rank) => [dtype, rank]));

export const sizeOf = (dtype: Dtype): number => SIZES[dtype];
export const rankOf = (dtype: Dtype): number => RANKS.get(dtype)!;
export const isDtype = (text: string): text is Dtype => RANKS.has(text);
/** Floats that are not F32: a base that holds one cannot be trained. */
export const isOtherFloat = (dtype: Dtype): boolean => dtype === 'F64' || dtype === 'F16' || dtype === 'BF16';

/** Number of elements; 1 for a scalar (`[]`), 0 if a dimension is 0. */
export const elementsOf = (shape: readonly number[]): number => shape.reduce((n, dim) => n * dim, 1);
