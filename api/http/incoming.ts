/** The body of a request as it comes. Its sender must keep coming: a slow one would hold a place among the uploads for ever. */
import type { Readable } from 'node:stream';
import { LifecycleError } from '../../domain/errors.ts';

/** The least that must come while we wait so long. */
export interface Pace {
  readonly ms: number;
  readonly bytes: number;
}

/**
 * Each chunk once; nothing is held between them. The time in which we do not ask for more is not the sender's. The stream is not destroyed
 * where we stop early: its connection still carries our answer.
 *
 * @param length what was announced, for the text of a fault; null where nothing was
 * @throws LifecycleError `body_incomplete` where it breaks off; `request_timeout` below the pace
 */
export async function* incoming(source: Readable, length: number | null, pace: Pace): AsyncGenerator<Buffer> {
  let all = 0;
  /** Since the pace was last looked at: bytes that came, and ms that we waited for them. */
  let fresh = 0;
  let waited = 0;
  let since: number | undefined;
  let isEnded = source.readableEnded;
  let fault: LifecycleError | undefined;
  let wake: (() => void) | undefined;
  const onReadable = () => wake?.();
  const onEnd = () => {
    isEnded = true;
    wake?.();
  };
  const onGone = () => {
    const of = length === null ? '' : ` of ${length}`;
    fault ??= new LifecycleError('body_incomplete', `The body ended after ${all}${of} bytes.`);
    wake?.();
  };
  const onTick = () => {
    const now = performance.now();
    if (since !== undefined) {
      waited += now - since;
      since = now;
    }
    if (waited < pace.ms) return;
    if (fresh < pace.bytes) {
      const detail = `Fewer than ${pace.bytes} bytes of the body came in ${pace.ms / 1_000} s.`;
      fault ??= new LifecycleError('request_timeout', detail);
      wake?.();
    }
    fresh = 0;
    waited = 0;
  };
  source.on('readable', onReadable).on('end', onEnd).on('error', onGone).on('close', onGone);
  const timer = setInterval(onTick, pace.ms / 4);
  try {
    if (source.destroyed && !isEnded) onGone();
    for (;;) {
      const chunk = source.read() as Buffer | null; // no encoding is set, and it is no stream of objects
      if (chunk !== null) {
        all += chunk.length;
        fresh += chunk.length;
        yield chunk;
        continue;
      }
      if (isEnded) return;
      if (fault) throw fault;
      since = performance.now();
      await new Promise<void>((resolve) => (wake = resolve));
      waited += performance.now() - since;
      since = undefined;
    }
  } finally {
    clearInterval(timer);
    source.off('readable', onReadable).off('end', onEnd).off('close', onGone);
    // The listener of faults stays: without one, a connection that breaks later would end the process.
  }
}
