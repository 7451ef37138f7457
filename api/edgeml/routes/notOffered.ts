/** Calls that existing SDKs make and this release does not serve: 501 with a sentence, so that nobody waits for an answer. */
import { LifecycleError } from '../../../domain/errors.ts';
import type { App } from '../../app.ts';

const UPLOADS =
  'Uploads by SDK are not in this release. PUT the bytes to /lifecycle/v1/blobs/{sha256}, then POST them as an artifact.';
const PERCENT = 'Moving a percentage by number is not in this release. Use POST /lifecycle/v1/rollouts/{id}/advance.';
const TRAINING =
  'Training through this API is not in this release. Use POST /lifecycle/v1/models/{m}/train and /lifecycle/v1/training/checkin.';
const EXPERIMENTS = 'Experiments are not in this release. Deploy a rollout to a share of devices instead.';
const TELEMETRY = 'Event telemetry is not in this release. Use POST /lifecycle/v1/devices/{d}/reports.';
const FEDERATIONS =
  'A federation is of one organisation: nobody is invited, and nothing is shared. Every model of the organisation is in it.';
const DEVICES = 'Not in this release. GET /devices/{d}/models/{m}/version tells what a device is to run.';
const SECAGG = 'Secure aggregation is not offered by this server; rounds here never ask for it.';

const CALLS: readonly (readonly [method: string, paths: readonly string[], sentence: string])[] = [
  [
    'POST',
    ['/models/:m/versions/upload', '/models/:m/versions/upload-url', '/models/:m/versions/confirm-upload'],
    UPLOADS,
  ],
  ['POST', ['/models/:m/versions'], UPLOADS],
  [
    'POST',
    ['/models/:m/versions/:v/deprecate'],
    'Deprecation is not in this release. Roll the version back if it is bad.',
  ],
  ['PATCH', ['/models/:m', '/models/:m/versions/:v/metrics'], 'Models and versions are not changed in this release.'],
  ['DELETE', ['/models/:m', '/models/:m/versions/:v'], 'Nothing is deleted in this release.'],
  ['GET', ['/models/:m/updates', '/models/:m/optimized-config/:type'], DEVICES],
  ['POST', ['/models/:m/versions/:v/resolve'], DEVICES],
  ['POST', ['/models/:m/rollouts/:r/advance', '/models/:m/rollouts/:r/update-percentage'], PERCENT],
  [
    'GET',
    ['/models/:m/rollouts/:r/status-history', '/models/:m/rollouts/:r/affected-devices', '/rollouts/active'],
    'Not in this release. GET /lifecycle/v1/rollouts/{id} and /lifecycle/v1/events tell it.',
  ],
  ['DELETE', ['/models/:m/rollouts/:r'], 'Rollouts are not deleted. Use POST /lifecycle/v1/rollouts/{id}/abort.'],
  [
    'GET',
    [
      '/devices',
      '/devices/:device',
      '/devices/:device/assignments',
      '/devices/:device/groups',
      '/devices/:device/models/:m/bucket',
    ],
    DEVICES,
  ],
  ['POST', ['/devices/:device/models/:m/assign', '/control/heartbeat'], DEVICES],
  ['GET', ['/control/sync', '/settings/org/:org/device-policy'], DEVICES],
  [
    'POST',
    ['/device-auth/bootstrap', '/device-auth/refresh', '/device-auth/revoke'],
    'Not in this release. POST /api/v1/devices/register answers `device_token`, and renews it.',
  ],
  ['POST', ['/federations/:f/invite', '/federations/:f/models'], FEDERATIONS],
  ['POST', ['/training/aggregate', '/training/weights', '/training/sessions', '/training/:m/stop'], TRAINING],
  ['GET', ['/training/rounds', '/training/rounds/:r', '/training/rounds/:r/status', '/training/:m/status'], TRAINING],
  [
    'POST',
    ['/training/rounds/:r/secagg/:step', '/training/secagg/:sid/shares', '/secagg/:step', '/secagg/sessions/join'],
    SECAGG,
  ],
  [
    'POST',
    ['/experiments', '/experiments/:e/:action', '/experiments/:e/events', '/experiments/:e/metrics'],
    EXPERIMENTS,
  ],
  ['GET', ['/experiments', '/experiments/:e', '/experiments/:e/assign', '/experiments/:e/analytics'], EXPERIMENTS],
  ['PATCH', ['/experiments/:e/allocations'], EXPERIMENTS],
  ['POST', ['/inference/events', '/funnel/events', '/v2/telemetry/events'], TELEMETRY],
];

/** Under the SDK prefix; `hidden` keeps them out of the documentation. */
export function notOffered(app: App): void {
  for (const [method, paths, sentence] of CALLS) {
    for (const url of paths) {
      app.route({
        method,
        url,
        config: { scope: 'any' },
        handler: () => {
          throw new LifecycleError('not_implemented', sentence);
        },
      });
    }
  }
}

/** The one path of theirs outside the prefix. */
export function notOfferedAtRoot(app: App): void {
  app.post('/api/v2/telemetry/events', {
    config: { scope: 'any' },
    handler: () => {
      throw new LifecycleError('not_implemented', TELEMETRY);
    },
  });
}
