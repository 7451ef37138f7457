/** Bodies of uploads: how many are under way at once, and what becomes of one that is refused. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';
import { goOn, isHeldBack } from './expect.ts';
import { incoming, type Pace } from './incoming.ts';

/** What one server takes at once. */
export interface UploadLimits {
  /** Bytes of all bodies under way, as announced. A larger one goes alone. */
  readonly bytes: number;
  /** Bodies under way. */
  readonly count: number;
  readonly pace: Pace;
}

/** 256 MiB, 64 bodies, and at least 4 KiB a second from each. */
export const UPLOAD_LIMITS: UploadLimits = { bytes: 2 ** 28, count: 64, pace: { ms: 10_000, bytes: 40_960 } };

/** A body as its headers announce it, and as it comes. */
export interface ComingBody {
  /** `Content-Length`; null for a chunked body. */
  readonly length: number | null;
  /** Media type without parameters, in lower case; null where none is named. */
  readonly mediaType: string | null;
  /**
   * Takes a place, and begins to read. Called once at most.
   *
   * @throws LifecycleError `unavailable` with a retry window where there is no place: no byte was read
   */
  open(): AsyncIterable<Buffer>;
}

export interface Uploads {
  /**
   * The place is given back when `take` ends. What is left of the body then is read and dropped, so that a client which sends before
   * it listens gets its answer, and its connection stays sound. A client that held its body back is disconnected instead.
   *
   * @param most bytes of the largest body here: the size of one that announces none
   */
  receive<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    most: number,
    take: (body: ComingBody) => Promise<T>,
  ): Promise<T>;
}

/** When a client without a place should return, in ms. */
const RETRY_MS = [1_000, 5_000] as const;

function noRoom(): LifecycleError {
  const [min, max] = RETRY_MS;
  return new LifecycleError('unavailable', 'Too many uploads are under way. Send it again in a moment.', {
    retry_ms: RETRY_MS,
    // Drawn here too: clients that know only this one do not all return at once.
    retry_after_s: Math.round((min + Math.random() * (max - min)) / 1_000),
  });
}

/** Of one process. */
export function createUploads(limits: UploadLimits): Uploads {
  let bytes = 0;
  let count = 0;
  /** @returns how to give the place back */
  const takePlace = (length: number): (() => void) => {
    const wanted = Math.min(length, limits.bytes);
    if (count >= limits.count || bytes + wanted > limits.bytes) throw noRoom();
    bytes += wanted;
    count += 1;
    return () => {
      bytes -= wanted;
      count -= 1;
    };
  };

  return {
    async receive(request, reply, most, take) {
      const { raw, headers } = request;
      const length = headers['content-length'] === undefined ? null : Number(headers['content-length']);
      let leave: (() => void) | undefined;
      try {
        return await take({
          length,
          mediaType: headers['content-type']?.split(';')[0]!.trim().toLowerCase() ?? null,
          open() {
            leave = takePlace(length ?? most);
            goOn(request, reply);
            return incoming(raw, length, limits.pace);
          },
        });
      } catch (error) {
        // RFC 9110 section 15.5.9: nobody waits for the rest of a body that was too slow.
        if (error instanceof LifecycleError && error.code === 'request_timeout') reply.header('connection', 'close');
        throw error;
      } finally {
        leave?.();
        if (!isHeldBack(request)) void drop(request, most, limits.pace);
      }
    },
  };
}

/** Reads what is left of a body, and ends the connection of one that is too long or too slow. */
async function drop({ raw }: FastifyRequest, most: number, pace: Pace): Promise<void> {
  if (raw.readableEnded || raw.destroyed) return;
  let left = most;
  try {
    for await (const chunk of incoming(raw, null, pace)) {
      left -= chunk.length;
      if (left < 0) break;
    }
    if (left >= 0) return;
  } catch {
    // Too slow, or gone.
  }
  raw.socket.destroy();
}
