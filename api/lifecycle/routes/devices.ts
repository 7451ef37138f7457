/** `/devices/{d}/reports` and `/why`: what a device showed, and why it gets the version it gets. */
import Type from 'typebox';
import { armOf } from '../../../domain/rollout/arms.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { instant } from '../../instant.ts';
import { reportWatch } from '../../reportWatch.ts';
import { existingDevice, knownModel, notRegistered } from '../../knownDevice.ts';
import { closed, DeviceRef, ModelRef } from '../../../wire/common.ts';
import { DeviceReport, ReleasedDevice, ReportAnswer, Why } from '../../../wire/device.ts';
import { whyView } from '../views/why.ts';

const tags = ['devices'];

export function deviceRoutes(app: App, deps: ApiDeps): void {
  app.post('/devices/:device/reports', {
    config: { scope: 'telemetry:write', repeatable: true },
    schema: {
      tags,
      description:
        'What a device counted of one model and version since its process started. All numbers are cumulative within `session` and ' +
        'begin at 0; what the session adds to its last report is counted, by the clock of the server. A `seq` that is not above the ' +
        'newest of its session, model and version is a duplicate and counts nothing; a number that fell within its session is 422 ' +
        '`counter_fell`. Sessions are remembered for 7 days, and the newest 64 of a device for ever; of one that is not remembered ' +
        'although `acked` is above 0 nothing is counted (`forgotten`). A member that is absent stands as before in the session.',
      params: Type.Object({ device: DeviceRef }, closed),
      body: DeviceReport,
      response: { 200: ReportAnswer },
    },
    handler: async (request) => {
      const device = await existingDevice(deps, request, request.params.device);
      const { model, ...sent } = request.body;
      const { modelId, pointer } = await knownModel(deps, request, model);
      // At the time of the report: a stage that begins later does not count it.
      const now = deps.pointers.now();
      const attribution = armOf(pointer, device, sent.version, now);
      const watch = attribution && (await reportWatch(deps, pointer, attribution, device, now));
      const recorded = await deps.reports.record({ device, report: { modelId, ...sent }, attribution, watch });
      const attributed =
        attribution && recorded !== 'forgotten'
          ? { rollout_id: attribution.rolloutId, stage: attribution.stage, arm: attribution.arm }
          : null;
      return { duplicate: recorded === 'duplicate', forgotten: recorded === 'forgotten', attributed };
    },
  });

  app.post('/devices/:device/release', {
    config: { scope: 'devices:release', repeatable: true },
    schema: {
      tags,
      description:
        'Revokes the token of a device, within a second on every server; the next registration gets another.',
      params: Type.Object({ device: DeviceRef }, closed),
      body: Type.Object({}, closed),
      response: { 200: ReleasedDevice },
    },
    handler: async (request) => {
      const { device: asked } = request.params;
      const { orgId, keyId } = whoAsks(request);
      const device = await deps.devices.releaseDevice(orgId, asked, keyId);
      if (!device) throw notRegistered(asked);
      deps.deviceAuth.raised.ring();
      const { id, identifier, generation, raisedAt, raisedBy } = device;
      return {
        id,
        device_identifier: identifier,
        generation,
        released_at: instant(raisedAt.getTime()),
        released_by: raisedBy,
      };
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
