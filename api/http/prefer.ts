/** `Prefer: wait=N`: how long a caller is ready to wait. */
import type { FastifyRequest } from 'fastify';

const MOST_S = 15;

/** Milliseconds, at most 15 s; `otherwise` without the header. */
export function preferredWaitMs(request: FastifyRequest, otherwise: number): number {
  const sent = request.headers.prefer;
  const found = /(?:^|[,;\s])wait=(\d{1,4})/i.exec(Array.isArray(sent) ? sent.join(',') : (sent ?? ''));
  return found ? Math.min(MOST_S, Number(found[1])) * 1_000 : otherwise;
}
