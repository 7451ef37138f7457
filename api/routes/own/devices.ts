/** `/devices/{d}/reports` and `/why`: what a device showed, and why it gets the version it gets. */
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { armOf } from '../../../domain/rollout/arms.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { modelIdFrom } from '../../reading.ts';
import { closed, DeviceRef, ModelRef } from '../../schemas/common.ts';
import { DeviceReport, ReportAnswer, Why } from '../../schemas/device.ts';
import { whyView } from '../../views/why.ts';

const tags = ['devices'];

export function deviceRoutes(app: App, deps: ApiDeps): void {
  app.post('/devices/:device/reports', {
    config: { scope: 'telemetry:write', repeatable: true },
    schema: {
      tags,
      description: 'Cumulative counts. A sequence number that was counted before counts nothing.',
      params: Type.Object({ device: DeviceRef }, closed),
      body: DeviceReport,
      response: { 200: ReportAnswer },
    },
    handler: async (request) => {
      const device = await existingDevice(deps, request, request.params.device);
      const { model, version, seq, predictions, downloads, latency } = request.body;
      const { modelId, pointer } = await knownModel(deps, request, model);
      // At the time of the report: a stage that begins later does not count it.
      const attribution = armOf(pointer, device, version, deps.pointers.now());
      const report = { modelId, version, seq, predictions, downloads, latency };
      const recorded = await deps.recordReport(device, report, attribution);
      const attributed = attribution
        ? { rollout_id: attribution.rolloutId, stage: attribution.stage, arm: attribution.arm }
        : null;
      return { duplicate: recorded === 'duplicate', attributed };
    },
  });

  app.get('/devices/:device/models/:model/why', {
    config: { scope: ['rollouts:read', 'devices:heartbeat'] },
    schema: {
      tags,
      params: Type.Object({ device: DeviceRef, model: ModelRef }, closed),
      response: { 200: Why },
    },
    handler: async (request) => {
      const device = await existingDevice(deps, request, request.params.device);
      const { pointer } = await knownModel(deps, request, request.params.model);
      return whyView(pointer, device, deps.pointers.now());
    },
  });
}

/** @throws LifecycleError `device_not_registered`, also for another organisation's */
export async function existingDevice(deps: ApiDeps, request: FastifyRequest, id: string) {
  const device = await deps.devices.getDevice(whoAsks(request).orgId, id);
  if (device) return device;
  throw notRegistered(id);
}

export const notRegistered = (device: string) =>
  new LifecycleError(
    'device_not_registered',
    `Device ${device} is not registered. POST /api/v1/devices/register first.`,
  );

/** Older than this, a pointer may name a version that was rolled back since: better no answer, and the device keeps what it has. */
export const STALE_MS = 10_000;

/** The model's pointer. @throws LifecycleError `model_not_found`; `projection_behind` while it may be out of date */
export async function knownModel({ pointers }: Pick<ApiDeps, 'pointers'>, request: FastifyRequest, text: string) {
  const { orgId } = whoAsks(request);
  const modelId = modelIdFrom(orgId, text);
  const known = await pointers.get(orgId, modelId);
  if (pointers.ageMs() > STALE_MS) {
    const detail = 'The pointers do not follow the log at the moment. Keep the version you have, and ask again.';
    throw new LifecycleError('projection_behind', detail, { retry_after_s: 5 });
  }
  if (!known) throw new LifecycleError('model_not_found', `There is no model ${text}.`);
  if (known.missesSince === undefined) return { modelId, pointer: known.pointer };
  // No retry soon mends it: an operator must. Other models are served.
  const detail = `The pointer of model ${text} misses the fact at ${known.missesSince}. Keep the version you have; the operator is told.`;
  throw new LifecycleError('projection_behind', detail, { retry_after_s: 60 });
}
