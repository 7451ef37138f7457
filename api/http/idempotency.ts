/** Under which id the log remembers a command of the API: a repeat gets the first outcome. */
import { createHash, randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { canonicalJson } from '../../domain/hash/canonicalJson.ts';
import { LifecycleError } from '../../domain/errors.ts';
import type { Caller } from '../../commands/context.ts';
import { whoAsks } from '../access/principal.ts';
import { ifMatchOf } from './conditional.ts';
import { isLifecycleApi } from './problem.ts';

const headerOf = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** The key as sent, quotes removed. @throws LifecycleError `invalid_input` for one that is no key */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const sent = headerOf(request, 'idempotency-key')?.trim();
  if (sent === undefined) return undefined;
  const key = /^"(.*)"$/.exec(sent)?.[1] ?? sent;
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new LifecycleError('invalid_input', 'Idempotency-Key is not 1 to 255 visible ASCII characters.', {
    errors: [{ pointer: '/headers/idempotency-key', detail: 'must be 1 to 255 visible ASCII characters' }],
  });
}

/** Not `request.id`, which the caller may choose: a stop that repeats one must still stop. */
const freshId = () => `req_${randomUUID()}`;

/** SHA-256 of what was asked: method, route with its parameters, canonical body. */
export function commandHashOf(request: FastifyRequest): Uint8Array {
  const path = request.url.split('?')[0]!.replace(/\/+$/, '');
  return createHash('sha256')
    .update(`${request.method}\n${path}\n${canonicalJson(request.body ?? {})}`)
    .digest();
}

/** A route hook: Lifecycle API POSTs that change something bring a key; stops and device calls need none. */
export function requireIdempotencyKey(request: FastifyRequest): void {
  const { config } = request.routeOptions;
  if (request.method !== 'POST' || !isLifecycleApi(request) || config.stop || config.repeatable) return;
  if (idempotencyKeyOf(request) === undefined) {
    throw new LifecycleError('idempotency_key_required', 'This call changes something. Send a fresh Idempotency-Key.');
  }
}

/**
 * The caller of a use case. Without an Idempotency-Key: `businessKey` where the route knows what makes two requests one, else
 * this request alone.
 *
 * @param stream the stream that `If-Match` is about; stops ignore the header
 */
export function callerOf(
  request: FastifyRequest,
  about: { readonly stream?: string; readonly businessKey?: string } = {},
): Caller {
  const principal = whoAsks(request);
  const { stop } = request.routeOptions.config;
  const key = idempotencyKeyOf(request);
  const seen = stop || about.stream === undefined ? undefined : ifMatchOf(request);
  return {
    actor: { kind: 'key', id: principal.keyId },
    orgId: principal.orgId,
    commandId: `http:${principal.keyId}:${key ?? about.businessKey ?? freshId()}`,
    commandHash: commandHashOf(request),
    correlationId: request.id,
    causationId: null,
    onConflict: stop ? 'stop' : 'redecide',
    ...(seen === undefined || about.stream === undefined ? {} : { expect: { stream: about.stream, version: seen } }),
  };
}
