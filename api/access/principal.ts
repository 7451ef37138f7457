/** Who asks: the key behind `Authorization: Bearer`, and whether it may. */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';
import type { OrgId } from '../../domain/org.ts';
import { isTestKey } from '../../store/keys/keyFormat.ts';
import type { ApiKey, KeyStore } from '../../store/keys/keyStore.ts';
import type { TokenDevice } from './deviceTokens.ts';
import { rolesWith, scopesOf, type Scope } from './roles.ts';

export interface Principal {
  readonly keyId: string;
  readonly name: string;
  readonly orgId: OrgId;
  readonly roles: readonly string[];
  readonly scopes: ReadonlySet<Scope>;
  /** With the token of a device: the only one that it may act for. */
  readonly device?: TokenDevice;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before a route with a scope runs; undefined on routes that need no key. */
    principal: Principal | undefined;
  }
  interface FastifyContextConfig {
    /** Scope a route needs; one of several; `any`: any good key; `none`: no key. Without it the route is closed. */
    readonly scope?: Scope | readonly Scope[] | 'any' | 'none';
    /** A stop: never held up by a missing Idempotency-Key or a stale If-Match. */
    readonly stop?: true;
    /** Makes no command: no Idempotency-Key is needed although it is a POST. */
    readonly repeatable?: true;
    /** Its handler reads the body itself, after what it can refuse without. */
    readonly upload?: true;
    /** Takes a device's token although it has expired, and answers another; it compares the generation with the device's row. */
    readonly renews?: true;
  }
}

const principals = new WeakMap<ApiKey, Principal>();

/** The same for the same key object: one that is kept in memory is looked at once. */
export function principalOf(key: ApiKey): Principal {
  let principal = principals.get(key);
  if (!principal) {
    const { id, name, orgId, roles } = key;
    principal = { keyId: id, name, orgId, roles, scopes: new Set(scopesOf(roles)) };
    principals.set(key, principal);
  }
  return principal;
}

/** The secret of the request; undefined if there is none. Case of `Bearer` does not matter. */
export function bearerOf(request: FastifyRequest): string | undefined {
  const found = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '');
  return found?.[1];
}

export const isLoopbackAddress = (address: string) => /^(::1|127\.|::ffff:127\.)/.test(address);

/** @throws LifecycleError `invalid_api_key` for a key that is missing, unknown, revoked, or a test key from elsewhere */
export async function authenticate(request: FastifyRequest, keys: KeyStore): Promise<Principal> {
  const secret = bearerOf(request);
  if (secret === undefined) {
    throw new LifecycleError('invalid_api_key', 'There is no key. Send `Authorization: Bearer <key>`.');
  }
  const key = await keys.findBySecret(secret);
  if (!key) throw new LifecycleError('invalid_api_key', 'The key is unknown or revoked. Ask an admin for another.');
  if (isTestKey(secret) && !isLoopbackAddress(request.ip)) {
    throw new LifecycleError('invalid_api_key', 'ek_test_ keys work on the same machine only. Use an ek_live_ key.');
  }
  return principalOf(key);
}

/** @throws LifecycleError `insufficient_scope` with `required_scope` and `why` */
export function authorize(principal: Principal, wanted: Scope | readonly Scope[] | 'any'): void {
  if (wanted === 'any') return;
  const scopes: readonly Scope[] = typeof wanted === 'string' ? [wanted] : wanted;
  if (scopes.some((scope) => principal.scopes.has(scope))) return;
  const required = scopes[0]!;
  const roles = rolesWith(required);
  const why = [
    {
      rule: 'scope',
      met: false,
      detail: `${principal.name} is ${principal.roles.join(', ') || 'without a role'}; ${required} needs ${roles.join(' or ')}`,
    },
  ];
  throw new LifecycleError('insufficient_scope', `This needs ${scopes.join(' or ')}. ${why[0]!.detail}.`, {
    more: { required_scope: required, why },
  });
}

/** The principal of a route that needs a key. @throws Error where the route declares no scope (a bug) */
export function whoAsks(request: FastifyRequest): Principal {
  if (!request.principal)
    throw new Error(`${request.routeOptions.url ?? request.url} reads the principal without a scope`);
  return request.principal;
}

/**
 * The organisation a request of an existing SDK is about: as body or query name it, else the header `X-Org-Id`. `default`, and
 * nothing at all, mean the key's own.
 *
 * @throws LifecycleError `forbidden` for another organisation's
 */
export function orgAsked(request: FastifyRequest, named: string | undefined): OrgId {
  const { orgId } = whoAsks(request);
  const sent = request.headers['x-org-id'];
  const wanted = named ?? (typeof sent === 'string' ? sent : undefined);
  if (wanted === undefined || wanted === '' || wanted === 'default' || wanted === orgId) return orgId;
  throw new LifecycleError('forbidden', `The key belongs to ${orgId} and may not act for ${wanted}.`);
}
