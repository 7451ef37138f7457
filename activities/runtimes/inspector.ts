/**
 * Uploaded files, looked at in a child process each, a few at once: within limits of time and memory, and without anything of this
 * process (docs/design/publishing.md "Uploads"). Idempotent; what it writes is removed by who asked.
 */
import { rm } from 'node:fs/promises';
import { LifecycleError } from '../../domain/errors.ts';
import type { Spooled } from '../../store/artifacts/artifactStore.ts';
import { hostChild, type ChildLimits } from './childHost.ts';
import type { FromInspector, ToInspector } from './inspectProtocol.ts';

export type Inspected =
  /** `path` holds its tensors as canonical safetensors; `remove` when they are stored. */
  | { readonly format: 'safetensors'; readonly path: string; remove(): Promise<void> }
  /** The bytes as they came. */
  | { readonly format: 'onnx' };

export interface Inspector {
  /**
   * @param mostBytes of all tensors together
   * @throws LifecycleError `file_not_supported`, `unsafe_file`, `malformed_container`, `payload_too_large`, also for one that its limits end
   */
  inspect(file: Spooled, mostBytes: number): Promise<Inspected>;
}

const MIB = 2 ** 20;
const AT_ONCE = 2;
const LIMITS = { timeoutMs: 20_000, beside: 200 * MIB };

/** @param limits of each child: its time, and its memory beside twice the file */
export function createInspector(limits: Partial<typeof LIMITS> = {}): Inspector {
  const { timeoutMs, beside } = { ...LIMITS, ...limits };
  let running = 0;
  const waiting: (() => void)[] = [];
  const turn = async (): Promise<void> => {
    if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  };

  async function ask(question: ToInspector, child: ChildLimits): Promise<FromInspector> {
    const host = hostChild<ToInspector, FromInspector>('inspectChild', child);
    try {
      const answer = await host.ask(question);
      if (!('failure' in answer)) return answer;
      const why = { timeout: 'took too long', memory: 'took too much memory', crash: 'failed' }[answer.failure];
      throw new LifecycleError('file_not_supported', `Reading the file ${why}. Send a smaller or simpler one.`);
    } finally {
      host.close();
    }
  }

  return {
    async inspect(file, mostBytes) {
      const out = `${file.path}.tensors`;
      const remove = () => rm(out, { force: true });
      await turn();
      try {
        const child = { timeoutMs, rssBytes: 2 * file.bytes + beside };
        const answer = await ask({ path: file.path, out, mostBytes }, child);
        if (answer.kind === 'refused') throw new LifecycleError(answer.code, `The file: ${answer.detail}.`);
        return answer.kind === 'onnx' ? { format: 'onnx' } : { format: 'safetensors', path: out, remove };
      } catch (error) {
        await remove();
        throw error;
      } finally {
        leave();
      }
    },
  };
}
