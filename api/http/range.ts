/** One range of bytes (RFC 9110 14), as artifact downloads need it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';

/**
 * The range asked for, both ends inclusive; undefined for the whole: no header, several ranges, another unit, or an `If-Range`
 * that names other bytes.
 *
 * @throws LifecycleError `bad_range` where it lies outside
 */
export function rangeOf(
  request: FastifyRequest,
  reply: FastifyReply,
  bytes: number,
  etag: string,
): { readonly start: number; readonly end: number } | undefined {
  const sent = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.headers.range?.trim() ?? '');
  const ifRange = request.headers['if-range'];
  if (!sent || (ifRange !== undefined && ifRange !== etag)) return undefined;
  const [, first = '', last = ''] = sent;
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (start <= end && start < bytes) return { start, end };
  reply.header('content-range', `bytes */${bytes}`);
  throw new LifecycleError('bad_range', `${request.headers.range} lies outside the ${bytes} bytes there are.`);
}
