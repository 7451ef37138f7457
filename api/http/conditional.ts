/** ETags: the stream version of a resource. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';

export const etagOf = (version: number) => `"${version}"`;

/** The version a caller has seen; undefined without the header or with `*`. @throws LifecycleError `invalid_input` */
export function ifMatchOf(request: FastifyRequest): number | undefined {
  const sent = request.headers['if-match'];
  if (sent === undefined || sent.trim() === '*') return undefined;
  const found = /^(?:W\/)?"(\d{1,15})"$/.exec(sent.trim());
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
