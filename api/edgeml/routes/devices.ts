/** C27, C28, C30: devices register, say that they live, and ask which version they are to run. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { cutText } from '../../../domain/text.ts';
import { assign } from '../../../domain/rollout/pointer.ts';
import { toldWatch } from '../../../domain/rollout/watching.ts';
import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Device, DeviceWords, Registration } from '../../../store/devices/deviceStore.ts';
import { isDue, ownDevice, revoked, tokenMembers } from '../../access/bearer.ts';
import { orgAsked, whoAsks, type Principal } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { Heartbeat, HeartbeatAnswer, RegisterDevice } from '../schemas.ts';
import { AssignedVersion, RegisteredDevice } from '../../../wire/deviceCalls.ts';
import { seconds } from '../../instant.ts';
import { idempotencyKeyOf } from '../../http/idempotency.ts';
import { existingDevice, knownModel, notRegistered } from '../../knownDevice.ts';
import { DeviceRef, Line, ModelRef } from '../../../wire/common.ts';

const tags = ['sdk: devices'];
const HEARTBEAT_S = 300;
const DevicePath = Type.Object({ device: DeviceRef });

export function sdkDeviceRoutes(app: App, deps: ApiDeps): void {
  app.post('/devices/register', {
    config: { scope: 'devices:register', renews: true },
    schema: {
      tags,
      description:
        'Idempotent by organisation and identifier: SDKs register at every start and expect the same id. `device_token` is the bearer ' +
        'of this device from then on; asked with one, also one that has expired, it answers another. Where the server runs with ' +
        'EDGEML_DEVICE_AUTH=device, a key registers new devices only, and a known one is 409 `device_claimed`.',
      body: RegisterDevice,
      querystring: Type.Object({ org_id: Type.Optional(Line(200)) }),
      response: { 200: RegisteredDevice, 201: RegisteredDevice },
    },
    handler: async (request, reply) => {
      const { body } = request;
      const principal = whoAsks(request);
      const orgId = orgAsked(request, body.org_id ?? request.query.org_id);
      const identifier = body.device_identifier ?? body.installation_id ?? body.device_id;
      const words = toldBy(body);
      const { device, isNew } = principal.device
        ? await renewed(deps, principal, identifier, words)
        : await taken(deps, request, { orgId, identifier: identifier ?? randomUUID(), ...words });
      return reply
        .code(isNew ? 201 : 200)
        .send({ ...registered(device), ...tokenMembers(request, deps.deviceAuth, device) });
    },
  });

  // Generations of SDKs differ in the method.
  for (const method of ['POST', 'PUT'] as const) {
    app.route({
      method,
      url: '/devices/:device/heartbeat',
      config: { scope: 'devices:heartbeat' },
      schema: { tags, params: DevicePath, body: Heartbeat, response: { 200: HeartbeatAnswer } },
      handler: async (request) => {
        const { device: asked } = request.params;
        const { orgId, device: held } = whoAsks(request);
        // One server may not know yet that another revoked the token: the row does.
        const device = await deps.devices.heartbeat(orgId, asked, toldBy(request.body), held);
        if (!device) throw held ? revoked(held.id) : notRegistered(asked);
        const now = seconds(device.lastSeenAt);
        return {
          status: 'ok' as const,
          acknowledged: true as const,
          id: device.id,
          device_id: device.id,
          device_identifier: device.identifier,
          last_heartbeat: now,
          server_time: now,
          connectivity_status: 'online',
          metadata: {},
          ...(held && isDue(held, device) ? tokenMembers(request, deps.deviceAuth, device) : {}),
        };
      },
    });
  }
}

/** With a key. @throws LifecycleError `device_claimed` in the mode `device` */
async function taken(deps: ApiDeps, request: FastifyRequest, registration: Registration) {
  const { keyId } = whoAsks(request);
  const key = idempotencyKeyOf(request);
  const claim = key === undefined ? undefined : `${keyId} ${key}`;
  if (deps.deviceAuth.mode === 'fleet') return deps.devices.registerDevice({ ...registration, claim });
  const got = await deps.devices.claimDevice({ ...registration, claim });
  if (got) return got;
  const { identifier } = registration;
  throw new LifecycleError(
    'device_claimed',
    `Device ${identifier} is registered, and only its own token may register it again. An operator can release it: ` +
      `edgeml device release ${identifier}.`,
  );
}

/** With the device's own token. @throws LifecycleError `not_your_device`, `token_revoked` */
async function renewed(deps: ApiDeps, principal: Principal, identifier: string | undefined, words: DeviceWords) {
  const { id, generation, orgId } = principal.device!; // the caller has looked
  if (identifier !== undefined) ownDevice(principal, identifier);
  const device = await deps.devices.heartbeat(orgId, id, words, { generation, registers: true });
  if (!device) throw revoked(id);
  return { device, isNew: false };
}

/** C30, under the prefix and at the root. From the pointer in memory: it answers while NATS and Temporal are down. */
export function assignmentRoute(app: App, deps: ApiDeps): void {
  app.get('/devices/:device/models/:model/version', {
    config: { scope: ['devices:heartbeat', 'rollouts:read'] },
    schema: {
      tags,
      params: Type.Object({
        device: DeviceRef,
        model: ModelRef,
      }),
      querystring: Type.Object({ include_bucket: Type.Optional(Line(200)) }),
      response: { 200: AssignedVersion },
    },
    handler: async (request) => {
      const device = await existingDevice(deps, request, request.params.device);
      const { modelId, pointer } = await knownModel(deps, request, request.params.model);
      const now = deps.pointers.now();
      const assigned = assign(pointer, device, now);
      if (!assigned) {
        throw new LifecycleError(
          'assignment_not_found',
          `No version of ${request.params.model} is in force for this device.`,
        );
      }
      const { version, source, rolloutId, bucket } = assigned;
      // A person who asks for a device tells it nothing.
      if (whoAsks(request).scopes.has('devices:heartbeat')) {
        const watch = toldWatch(pointer, device, version, now);
        deps.active.noteTold(device, { modelId, version, epoch: pointer.epoch, at: now, watch });
      }
      const isBucketWanted = ['true', '1'].includes(request.query.include_bucket ?? '');
      return {
        version,
        source,
        ...(rolloutId === undefined ? {} : { rollout_id: rolloutId }),
        ...(isBucketWanted && bucket !== undefined ? { device_bucket: bucket } : {}),
      };
    },
  });
}

const textIn = (from: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined => {
  const value = from?.[name];
  return typeof value === 'string' && value !== '' ? cutText(value, 500) : undefined;
};

/** Hardware comes flat, in `device_info` or in `capabilities`; all of it is normalised into one. */
function toldBy(body: Readonly<Record<string, unknown>>) {
  const inner = (name: string) => {
    const value = body[name];
    // Any object that is no array has members by name.
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  };
  const [info, capabilities, metadata] = [inner('device_info'), inner('capabilities'), inner('metadata')];
  const find = (name: string) => textIn(body, name) ?? textIn(info, name) ?? textIn(capabilities, name);
  const gpu = [body, info, capabilities].map((part) => part?.['gpu_available']).find((v) => typeof v === 'boolean');
  return {
    platform: find('platform'),
    osVersion: find('os_version'),
    appVersion: find('app_version'),
    sdkVersion: find('sdk_version'),
    attributes: {
      ...(gpu === undefined ? {} : { gpu_available: gpu }),
      ...flat({
        manufacturer: find('manufacturer'),
        model: find('model'),
        region: find('region') ?? textIn(metadata, 'region'),
      }),
      ...(capabilities ? { capabilities: texts(capabilities) } : {}),
      ...(metadata ? { metadata: texts(metadata) } : {}),
    },
  };
}

const flat = (values: Readonly<Record<string, string | undefined>>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** Some SDKs read these maps as text to text. */
const MOST_MEMBERS = 50;
const texts = (values: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values)
      .slice(0, MOST_MEMBERS)
      .map(([name, value]) => [
        cutText(name, 100),
        cutText(typeof value === 'string' ? value : JSON.stringify(value), 500),
      ]),
  );

function registered(device: Device) {
  const { attributes } = device;
  const text = (name: string) => textIn(attributes, name) ?? '';
  const map = (name: string): Record<string, string> => {
    const value = attributes[name];
    return typeof value === 'object' && value !== null ? texts(value as Record<string, unknown>) : {}; // stored by toldBy
  };
  return {
    id: device.id,
    device_id: device.id,
    device_identifier: device.identifier,
    org_id: device.orgId,
    platform: device.platform ?? '',
    status: 'active' as const,
    registered_at: seconds(device.registeredAt),
    created_at: seconds(device.registeredAt),
    updated_at: seconds(device.updatedAt),
    last_heartbeat: seconds(device.lastSeenAt),
    heartbeat_interval_seconds: HEARTBEAT_S,
    gpu_available: attributes['gpu_available'] === true,
    os_version: device.osVersion ?? '',
    sdk_version: device.sdkVersion ?? '',
    app_version: device.appVersion ?? '',
    manufacturer: text('manufacturer'),
    model: text('model'),
    capabilities: map('capabilities'),
    metadata: map('metadata'),
  };
}
