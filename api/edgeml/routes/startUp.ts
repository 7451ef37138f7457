/** What mobile SDKs ask once they have registered: answers that are the same for every device, and the device's bucket. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { assign } from '../../../domain/rollout/pointer.ts';
import { orgAsked, whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { existingDevice, knownModel } from '../../knownDevice.ts';
import { DeviceRef, Line, ModelRef } from '../../../wire/common.ts';
import { AssignReported, DeviceBucket, DeviceGroups, DevicePolicy } from '../schemas.ts';

const tags = ['sdk: devices'];
const asks = { scope: ['devices:heartbeat', 'rollouts:read'] } as const;

export function startUpRoutes(app: App, deps: ApiDeps): void {
  app.get('/settings/org/:org/device-policy', {
    config: asks,
    schema: { tags, params: Type.Object({ org: Line(200, 1) }), response: { 200: DevicePolicy } },
    handler: (request) => {
      orgAsked(request, request.params.org);
      return { battery_threshold: 20, network_policy: 'wifi_only' as const };
    },
  });

  app.get('/devices/:device/groups', {
    config: asks,
    schema: { tags, params: Type.Object({ device: DeviceRef }), response: { 200: DeviceGroups } },
    handler: async (request) => {
      await existingDevice(deps, request, request.params.device);
      return { groups: [], memberships: [], count: 0 as const };
    },
  });

  app.get('/models/:model/optimized-config/:type', {
    config: asks,
    schema: { tags, params: Type.Object({ model: ModelRef, type: Line(200, 1) }) },
    handler: async (request) => {
      await knownModel(deps, request, request.params.model);
      const detail = `No optimised configuration is stored for ${request.params.type}. Use the defaults of the SDK.`;
      throw new LifecycleError('config_not_found', detail);
    },
  });
}

/** Android asks both at the root of the host, others under the prefix. */
export function bucketRoutes(app: App, deps: ApiDeps): void {
  const params = Type.Object({ device: DeviceRef, model: ModelRef });

  app.get('/devices/:device/models/:model/bucket', {
    config: asks,
    schema: {
      tags,
      description: 'Of the live rollout; without one every device has bucket 0.',
      params,
      response: { 200: DeviceBucket },
    },
    handler: async (request) => {
      const device = await existingDevice(deps, request, request.params.device);
      const { modelId, pointer } = await knownModel(deps, request, request.params.model);
      const bucket = assign(pointer, device, deps.pointers.now())?.bucket ?? 0;
      return { device_id: device.id, model_id: modelId, bucket, device_bucket: Math.floor(bucket / 100) };
    },
  });

  app.post('/devices/:device/models/:model/assign', {
    config: { scope: ['devices:heartbeat', 'rollouts:write'] },
    schema: {
      tags,
      description:
        'From a device: what it says it took. It pins nothing, or a device would pin itself for ever; the answer is what it is to run.',
      params,
      body: Type.Object({}, { additionalProperties: true }),
      response: { 200: AssignReported },
    },
    handler: async (request) => {
      if (!whoAsks(request).scopes.has('devices:heartbeat')) {
        const detail = 'Pinning a device to a version is not in this release. Deploy a rollout to a share of devices.';
        throw new LifecycleError('not_implemented', detail);
      }
      const device = await existingDevice(deps, request, request.params.device);
      const { modelId, pointer } = await knownModel(deps, request, request.params.model);
      const told = assign(pointer, device, deps.pointers.now());
      const version = told === undefined ? {} : { version: told.version };
      return { device_id: device.id, model_id: modelId, pinned: false as const, ...version };
    },
  });
}
