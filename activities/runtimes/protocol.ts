/** What the host and its child say to each other, over Node's IPC with structured clones. fp32 only. */

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Sent once, first. */
export interface OpenMessage {
  readonly kind: 'open';
  readonly model: Uint8Array;
  readonly optimise: boolean;
}

export interface RunMessage {
  readonly kind: 'run';
  readonly inputs: readonly OnnxTensor[];
}

export type ToChild = OpenMessage | RunMessage;

export type FromChild =
  /** The model is loaded. */
  | { readonly kind: 'opened'; readonly runtime: string }
  | { readonly kind: 'outputs'; readonly outputs: readonly OnnxTensor[] }
  /** The runtime said no to the model or to its inputs. */
  | { readonly kind: 'refused'; readonly detail: string }
  /** The runtime itself could not be loaded. */
  | { readonly kind: 'unavailable'; readonly detail: string };
