/** Pure. How large a safetensors file may be, for readers and for those who plan one. */

export const LIMITS = {
  headerBytes: 16 * 1024 * 1024,
  tensors: 20_000,
  rank: 8,
  parameters: 100_000_000,
  /** UTF-16 units of a tensor's name. */
  name: 512,
} as const;
