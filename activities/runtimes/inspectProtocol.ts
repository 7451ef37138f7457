/** What is asked of the child that looks at an uploaded file, and what it answers. */
import type { ErrorCode } from '../../domain/errors.ts';

export interface ToInspector {
  readonly path: string;
  /** Where a canonical safetensors file is written, if it holds tensors. */
  readonly out: string;
  /** Of all tensors together. */
  readonly mostBytes: number;
}

export type FromInspector =
  | { readonly kind: 'safetensors' | 'onnx' }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly detail: string };
