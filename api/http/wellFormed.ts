/** What HTTP itself asks of a request, before anything of ours reads it. */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';

const malformed = (detail: string) => new LifecycleError('malformed_request', detail);

/**
 * The router has decoded the path; the query is decoded by a parser that keeps a wrong escape as it is, so it is tried here.
 *
 * @throws LifecycleError `malformed_request` for a URL with raw bytes or wrong escapes, and without `Host`
 */
export function checkRequest(request: FastifyRequest): void {
  const { url, headers, raw } = request;
  if (raw.httpVersion === '1.1' && headers.host === undefined) throw malformed('Host is missing. HTTP/1.1 needs it.');
  if (!/^[\x21-\x7e]*$/.test(url)) throw malformed('The URL has bytes outside ASCII. Percent-encode them as UTF-8.');
  try {
    decodeURIComponent(url.split('?')[1] ?? '');
  } catch {
    throw malformed('The query has a percent sign that begins no UTF-8 character. Write "%25" for the sign itself.');
  }
}

/** The path of a request target: some clients and proxies send the whole URL. */
export const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/?#]*(?=[/?#]|$)/i, '') || '/';
