/** Waiting that a caller can cut short. */
import { Timeout } from './errors.ts';

/** Resolves after `ms`. @throws Timeout, code `aborted`, as soon as `signal` aborts */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new Timeout('aborted while waiting for the server', 0, undefined, { code: 'aborted' }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
