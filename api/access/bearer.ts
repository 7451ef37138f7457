/** Who asks, by either kind of bearer: a key, or the token of one device. */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';
import { deviceIdOf } from '../../domain/hash/uuid.ts';
import type { Device } from '../../store/devices/deviceStore.ts';
import type { RaisedGenerations } from '../../store/devices/raisedGenerations.ts';
import type { KeyStore } from '../../store/keys/keyStore.ts';
import { isTestKey } from '../../store/keys/keyFormat.ts';
import { authenticate, authorize, bearerOf, isLoopbackAddress, whoAsks, type Principal } from './principal.ts';
import { attributesOf, isTokenForm, TOKEN_TTL_MS, type DeviceTokens, type TokenDevice } from './deviceTokens.ts';
import { seconds } from '../instant.ts';
import { OF_DEVICES, scopesOf, type Scope } from './roles.ts';

/** `fleet`: a key of role device speaks for every device of its organisation. `device`: it registers new ones, and no more. */
export type DeviceAuthMode = 'fleet' | 'device';

export interface DeviceAuth {
  readonly mode: DeviceAuthMode;
  readonly tokens: DeviceTokens;
  readonly raised: RaisedGenerations;
}

const refused = (code: 'invalid_api_key' | 'token_expired' | 'token_revoked', detail: string) =>
  new LifecycleError(code, `${detail} POST /api/v1/devices/register gives another.`);

export const revoked = (device: string) =>
  refused('token_revoked', `The token of device ${device} was revoked, or the device is not known any more.`);

/**
 * The caller behind the bearer. In the mode `device` a key has no scope by which a device acts.
 *
 * @throws LifecycleError as `authenticate`; `token_expired`, except where the route renews tokens; `token_revoked`; the driver's
 *   error where that cannot be told
 */
export async function identify(
  request: FastifyRequest,
  { mode, tokens, raised }: DeviceAuth,
  keys: KeyStore,
): Promise<Principal> {
  const secret = bearerOf(request) ?? '';
  if (!isTokenForm(secret)) {
    const principal = await authenticate(request, keys);
    return mode === 'fleet' ? principal : { ...principal, scopes: withoutThoseOfDevices(principal.scopes) };
  }
  const device = tokens.read(secret);
  if (!device) throw refused('invalid_api_key', 'The device token is not as this server issued it.');
  if (device.isTest && !isLoopbackAddress(request.ip)) {
    const detail =
      'A token that an ek_test_ key was answered works on the same machine only. Register with an ek_live_ key.';
    throw new LifecycleError('invalid_api_key', detail);
  }
  if (!(await raised.isCurrent(device.id, device.generation))) throw revoked(device.id);
  if (device.expiresAt * 1_000 <= Date.now() && !request.routeOptions.config.renews) {
    throw refused('token_expired', `The token of device ${device.id} has expired.`);
  }
  return {
    keyId: `device:${device.id}`,
    name: `device ${device.id}`,
    orgId: device.orgId,
    roles: ['device'],
    scopes: new Set(scopesOf(['device'])),
    device,
  };
}

const withoutThoseOfDevices = (scopes: ReadonlySet<Scope>): ReadonlySet<Scope> =>
  new Set([...scopes].filter((scope) => !OF_DEVICES.has(scope)));

/**
 * Whether the caller may ask this route, of the device that its path names. That becomes the id of the token's own, in whichever
 * spelling it was named.
 *
 * @throws LifecycleError as `authorize`; `device_token_required` in the mode `device`; `not_your_device`
 */
export function admit(request: FastifyRequest, { mode }: DeviceAuth, wanted: Scope | readonly Scope[] | 'any'): void {
  const principal = request.principal!; // set just before
  if (mode === 'device' && !principal.device && mayOnlyAsDevice(principal, wanted)) {
    const detail =
      'Here a device acts with its own token, which registering answers; a key registers new devices, and no more.';
    throw new LifecycleError('device_token_required', detail);
  }
  authorize(principal, wanted);
  const params = request.params as { device?: string }; // by name, where the route's path has it
  if (principal.device && params.device !== undefined) params.device = ownDevice(principal, params.device);
}

/** The key's roles would do, and none of its scopes that are left does. */
function mayOnlyAsDevice({ roles, scopes }: Principal, wanted: Scope | readonly Scope[] | 'any'): boolean {
  const some: readonly string[] = wanted === 'any' ? [] : [wanted].flat();
  const all = scopesOf(roles);
  return all.some((scope) => some.includes(scope)) && ![...scopes].some((scope) => some.includes(scope));
}

/**
 * The device that a text names, id or identifier, for a caller who may speak for it: with a token the id of its own.
 *
 * @throws LifecycleError `not_your_device` for any other
 */
export function ownDevice({ device, orgId }: Principal, text: string): string {
  if (!device || text.toLowerCase() === device.id || deviceIdOf(orgId, text) === device.id) return device?.id ?? text;
  throw new LifecycleError('not_your_device', `The token is of device ${device.id} and may not act for ${text}.`);
}

/** What a device is answered that registered, or whose token is to be replaced. */
export function tokenMembers(request: FastifyRequest, { tokens }: DeviceAuth, device: Device) {
  // As test keys beget test keys.
  const isTest = whoAsks(request).device?.isTest ?? isTestKey(bearerOf(request) ?? '');
  const { token, expiresAt } = tokens.issue({ ...device, isTest }, Date.now());
  return { device_token: token, device_token_expires_at: seconds(expiresAt) };
}

/** Past half of its life, or not what the device says of itself now. */
export function isDue(held: TokenDevice, device: Device, now = Date.now()): boolean {
  const { platform, osVersion, appVersion, region } = attributesOf(device);
  const isSame =
    held.platform === platform &&
    held.osVersion === osVersion &&
    held.appVersion === appVersion &&
    (held.region ?? null) === region;
  return !isSame || held.expiresAt * 1_000 - now < TOKEN_TTL_MS / 2;
}
