/** How often one key may ask. Of one server; off unless it is configured. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyContextConfig } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';
import { OF_DEVICES, type Scope } from '../access/roles.ts';
import type { App } from '../app.ts';

const MINUTE_MS = 60_000;
/** Keys that are counted at once. */
const KEYS = 10_000;
const FREE: ReadonlySet<string> = new Set<Scope>([...OF_DEVICES, 'devices:register', 'rollouts:halt', 'signals:write']);

/** A fleet shares one key, a stop is never held up, and what needs no key or serves nothing costs nothing. */
export function isLimited({ scope = 'none', stop }: Readonly<FastifyContextConfig>): boolean {
  const scopes = [scope].flat();
  return stop !== true && !scopes.some((one) => one === 'none' || one === 'any' || FREE.has(one));
}

/** @param perMinute requests of one key; the next are 429 `rate_limited` until its minute is over */
export function limitKeys(app: App, perMinute: number): void {
  void app.register(rateLimit, {
    max: perMinute,
    timeWindow: MINUTE_MS,
    cache: KEYS,
    hook: 'preParsing', // once the key is known, before a byte of the body is read
    keyGenerator: ({ principal }) => principal?.keyId ?? '',
    allowList: ({ routeOptions }) => !isLimited(routeOptions.config),
    errorResponseBuilder: (_request, { ttl }) =>
      new LifecycleError('rate_limited', `This key may ask ${perMinute} times a minute.`, {
        retry_after_s: Math.max(1, Math.ceil(ttl / 1_000)),
      }),
  });
}
