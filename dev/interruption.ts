/** A wish to end: Ctrl-C, `kill`, a closed terminal. Heard from the first moment on, so that what was started is also ended. */

/** A shell's code for "ended by Ctrl-C". */
export const INTERRUPTED = 130;

/**
 * Hears the signals for the rest of this process. npm, our runner and the terminal may each deliver the same Ctrl-C: the first aborts the
 * signal, with its name as the reason; the others change nothing.
 */
export function hearInterruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort(name));
  // A reader that went away (a closed terminal, `| head`) must not end us before we have ended the rest.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return controller.signal;
}

/** What was under way was ended by the wish of a person. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
  }
}

/** @throws Interrupted */
export function refuseInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new Interrupted();
}

/** What `work` resolves to. @throws Interrupted as soon as the signal aborts; `work` goes on, and nobody waits for it */
export function unlessInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Interrupted());
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
