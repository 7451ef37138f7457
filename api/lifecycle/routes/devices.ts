/** `/devices/{d}/reports` and `/why`: what a device showed, and why it gets the version it gets. */
import Type from 'typebox';
import { armOf } from '../../../domain/rollout/arms.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { existingDevice, knownModel } from '../../knownDevice.ts';
import { closed, DeviceRef, ModelRef } from '../../../wire/common.ts';
import { DeviceReport, ReportAnswer, Why } from '../../../wire/device.ts';
import { whyView } from '../views/why.ts';

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
