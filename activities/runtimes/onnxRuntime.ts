/**
 * ONNX Runtime in processes of its own (docs/design/publishing.md "Runtimes"). Concurrent: each session is its own process. Idempotent:
 * nothing is kept. A model that crashes, hangs or eats memory is a value; the next call starts afresh.
 */
import { hostChild, type ChildFailure, type ChildLimits } from './childHost.ts';
import type { FromChild, OnnxTensor, ToChild } from './protocol.ts';

export type { OnnxTensor } from './protocol.ts';

export interface OnnxFailure {
  /**
   * `refused`: the runtime said no to model or inputs. `timeout`, `memory`, `crash`: its process had to be or was ended.
   * `unavailable`: the runtime cannot be loaded on this machine, whatever the model.
   */
  readonly failure: 'refused' | 'unavailable' | ChildFailure['failure'];
  readonly detail: string;
}

export interface OnnxOutputs {
  readonly outputs: readonly OnnxTensor[];
}

export interface OnnxSession {
  /** Name and version of what runs the model. */
  readonly runtime: string;
  readonly pid: number | undefined;
  /** One call at a time. @throws the signal's reason; the session is over then */
  run(inputs: readonly OnnxTensor[], signal?: AbortSignal): Promise<OnnxOutputs | OnnxFailure>;
  close(): void;
}

export interface OnnxModel {
  readonly model: Uint8Array;
  /** Graph optimisations; default true. */
  readonly optimise?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface OnnxRuntime {
  /** One child for many batches. The caller closes it. */
  openOnnxSession(model: OnnxModel): Promise<OnnxSession | OnnxFailure>;
  /** One child for one run. */
  runOnnx(run: OnnxModel & { readonly inputs: readonly OnnxTensor[] }): Promise<OnnxOutputs | OnnxFailure>;
}

const DEFAULT_LIMITS: ChildLimits = { timeoutMs: 60_000, rssBytes: 1.5 * 1024 ** 3 };

export const isFailure = <T extends object>(value: T | OnnxFailure): value is OnnxFailure => 'failure' in value;

/** @param limits for each question to a child: loading a model, or one run */
export function createOnnxRuntime(limits: Partial<ChildLimits> = {}): OnnxRuntime {
  const bounds = { ...DEFAULT_LIMITS, ...limits };

  async function openOnnxSession({ model, optimise = true, signal }: OnnxModel): Promise<OnnxSession | OnnxFailure> {
    signal?.throwIfAborted();
    const host = hostChild<ToChild, FromChild>('onnxChild', bounds);
    const opened = await host.ask({ kind: 'open', model, optimise }, signal);
    if ('failure' in opened || opened.kind !== 'opened') {
      host.close();
      if ('failure' in opened) return opened;
      return {
        failure: opened.kind === 'unavailable' ? 'unavailable' : 'refused',
        detail: 'detail' in opened ? opened.detail : '',
      };
    }
    return {
      runtime: opened.runtime,
      pid: host.pid,
      async run(inputs, runSignal) {
        const answer = await host.ask({ kind: 'run', inputs }, runSignal);
        if ('failure' in answer) return answer;
        if (answer.kind === 'outputs') return { outputs: answer.outputs };
        return { failure: 'refused', detail: 'detail' in answer ? answer.detail : `unexpected answer ${answer.kind}` };
      },
      close: () => host.close(),
    };
  }

  return {
    openOnnxSession,
    async runOnnx({ inputs, ...model }) {
      const session = await openOnnxSession(model);
      if (isFailure(session)) return session;
      try {
        return await session.run(inputs, model.signal);
      } finally {
        session.close();
      }
    },
  };
}
