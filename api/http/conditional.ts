/** ETags: the stream version of a resource, for If-Match, and a digest of what is shown, for If-None-Match. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';

/** The shortest tag that If-Match takes: the stream version alone. */
export const etagOf = (version: number) => `"${version}"`;

/**
 * The tag of a resource as it is shown. A body may hold more than its own stream says (another stream's facts, rows, a clock), so
 * the digest changes whenever the body does; the stream version before it is what If-Match compares.
 */
export function etagOfBody(body: { readonly stream_version: number }): string {
  const digest = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 16);
  return `"${body.stream_version}-${digest}"`;
}

/** The stream version a caller has seen; undefined without the header or with `*`. @throws LifecycleError `invalid_input` */
export function ifMatchOf(request: FastifyRequest): number | undefined {
  const sent = request.headers['if-match'];
  if (sent === undefined || sent.trim() === '*') return undefined;
  const found = /^(?:W\/)?"(\d{1,15})(?:-[0-9a-f]{16})?"$/.exec(sent.trim());
  if (found) return Number(found[1]);
  throw new LifecycleError('invalid_input', `If-Match ${sent} is not an ETag of ours, such as "17".`, {
    errors: [{ pointer: '/headers/if-match', detail: 'must be one ETag of ours' }],
  });
}

/** Sets the ETag; true if the caller has this version already, and 304 is the answer. */
export function isNotModified(request: FastifyRequest, reply: FastifyReply, etag: string): boolean {
  reply.header('etag', etag);
  const sent = request.headers['if-none-match'];
  if (sent === undefined) return false;
  return sent.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag);
}

/** A resource with its ETag, or 304 without a body where the caller has it as it is shown. */
export function unlessKnown<B extends { readonly stream_version: number }>(
  request: FastifyRequest,
  reply: FastifyReply,
  shown: B,
): B | null {
  if (!isNotModified(request, reply, etagOfBody(shown))) return shown;
  reply.code(304);
  return null;
}
