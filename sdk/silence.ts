/** One exchange, ended by silence and not by its length: a long body is no fault while its bytes keep coming. Browser-safe. */

/** A second more before the first byte of the answer for so many bytes sent. */
const SENT_BYTES_PER_S = 64 * 1024;

/** Which side ended an exchange that did not end by itself. */
export type Ended = 'caller' | 'silence';

export interface Watched {
  /** Aborts after the silence, or with the caller's signal. */
  readonly signal: AbortSignal;
  /** Something came: the time starts anew. */
  heard(): void;
  /** Undefined while neither has ended it. */
  ended(): Ended | undefined;
  /** Must be called at the end: takes the timer and the listener away, so that a long-lived signal keeps nothing of this exchange. */
  release(): void;
}

/**
 * Watches an exchange that is about to begin.
 *
 * `fetch` does not tell how far a request's body has been sent (a stream would, but pages may send one over HTTP/2 only and it has no
 * length), so before the first answer the limit grows with the bytes to send: a second for each 64 KiB.
 *
 * @param silenceMs   longest time without a byte
 * @param bytesToSend length of the request's body
 */
export function watchSilence(silenceMs: number, bytesToSend: number, caller: AbortSignal | undefined): Watched {
  const controller = new AbortController();
  let by: Ended | undefined;
  const end = (who: Ended) => {
    by ??= who;
    controller.abort();
  };
  const schedule = (ms: number) => setTimeout(() => end('silence'), ms);
  const stop = () => end('caller');
  let timer = schedule(silenceMs + (bytesToSend / SENT_BYTES_PER_S) * 1_000);
  if (caller?.aborted) stop();
  else caller?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    heard: () => {
      clearTimeout(timer);
      timer = schedule(silenceMs);
    },
    ended: () => by,
    release: () => {
      clearTimeout(timer);
      caller?.removeEventListener('abort', stop);
    },
  };
}

/** The whole body, each chunk told to `heard`. */
export async function readBody(
  response: Response,
  heard: (chunk: Uint8Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    heard(value);
    chunks.push(value);
    length += value.length;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
