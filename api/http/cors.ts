/** Browsers of other origins: which may read answers, and what of them (the Fetch standard, "HTTP CORS protocol"). */
import cors from '@fastify/cors';
import type { App } from '../app.ts';

/** Headers of a request that our APIs read. */
const ALLOWED = [
  'authorization',
  'content-type',
  'edgeml-lease',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'if-range',
  'prefer',
  'range',
  'repr-digest',
  'x-org-id',
  'x-request-id',
];
/** Headers of an answer that a script needs, beyond those that every script may read. */
const EXPOSED = [
  'accept-ranges',
  'content-disposition',
  'content-range',
  'edgeml-position',
  'edgeml-reason',
  'edgeml-retry',
  'etag',
  'idempotency-replayed',
  'link',
  'location',
  'preference-applied',
  'repr-digest',
  'retry-after',
  'x-request-id',
];
const PREFLIGHT_KEPT_S = 600;

/**
 * No cookies are read anywhere, so credentials stay out. What is registered after this sees preflights no more.
 *
 * @param origins as a browser names them, such as `https://console.example`; `*` alone: any
 */
export function allowOrigins(app: App, origins: readonly string[]): void {
  void app.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ALLOWED,
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_KEPT_S,
    strictPreflight: false,
  });
}
