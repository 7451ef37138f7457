/** A body that must be held whole to be judged: bounded before it is read, and while. */
import type { Readable } from 'node:stream';
import { LifecycleError } from '../../domain/errors.ts';

/** @throws LifecycleError `payload_too_large`, `body_incomplete` */
export async function readBytes(
  source: Readable | undefined,
  { length, max }: { readonly length: number; readonly max: number },
): Promise<Uint8Array> {
  if (length > max) throw tooLarge(max);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // The stream stays open where we stop early: its connection still carries our answer.
    for await (const chunk of source?.iterator({ destroyOnReturn: false }) ?? []) {
      const part = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      bytes += part.length;
      if (bytes > max) throw tooLarge(max);
      chunks.push(part);
    }
  } catch (error) {
    if (error instanceof LifecycleError) throw error;
    throw new LifecycleError(
      'body_incomplete',
      `The body ended after ${bytes} of ${length} bytes.`,
      {},
      { cause: error },
    );
  }
  if (bytes !== length)
    throw new LifecycleError('body_incomplete', `The body has ${bytes} bytes, Content-Length says ${length}.`);
  return Buffer.concat(chunks);
}

const tooLarge = (max: number) =>
  new LifecycleError('payload_too_large', `At most ${max} bytes are taken here.`, { more: { max } });
