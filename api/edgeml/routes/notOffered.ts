/**
 * Calls that existing SDKs make and this release does not serve: 501 with a sentence that says what is served instead, whatever the
 * media type of the body, which is dropped unread.
 */
import type { HTTPMethods } from 'fastify';
import { LifecycleError } from '../../../domain/errors.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';

const UPLOADS =
  'Uploads in steps are not in this release. Send one form to POST /api/v1/models/{m}/versions/upload, or PUT the bytes to ' +
  '/lifecycle/v1/blobs/{sha256} and POST them as an artifact.';
const PERCENT = 'Moving a percentage by number is not in this release. Use POST /lifecycle/v1/rollouts/{id}/advance.';
const TRAINING =
  'Training through this API is not in this release. Use POST /lifecycle/v1/models/{m}/train and /lifecycle/v1/training/checkin.';
const EXPERIMENTS = 'Experiments are not in this release. Deploy a rollout to a share of devices instead.';
const TELEMETRY = 'Event telemetry is not in this release. Use POST /lifecycle/v1/devices/{d}/reports.';
const FEDERATIONS =
  'A federation is of one organisation: nobody is invited, and nothing is shared. Every model of the organisation is in it.';
const DEVICES = 'Not in this release. GET /devices/{d}/models/{m}/version tells what a device is to run.';
const SECAGG = 'Secure aggregation is not offered by this server; rounds here never ask for it.';
const PLANS = 'Rounds of this kind are not offered. Use POST /lifecycle/v1/training/checkin.';
const CHANGES = 'Models and versions are not changed in this release. Publish a new version.';
const DEPLOY = 'Deployments are rollouts here. Use POST /api/v1/models/{m}/rollouts.';
const CONSOLE = 'Organisations, keys and settings are not managed here. Use /lifecycle/v1/orgs and /lifecycle/v1/keys.';
const MONITORS = 'Not offered. GET /lifecycle/v1/rollouts/{id}/health and /metrics tell it.';
const CONVERTS =
  'Files are made when a version is published. GET /models/{m}/versions/{v} lists the formats that there are.';

const GET = ['GET'] as const;
const POST = ['POST'] as const;
const PATCH = ['PATCH'] as const;
const DELETE = ['DELETE'] as const;
const BOTH = ['GET', 'POST'] as const;
/** Of families whose calls are not all known. */
const EVERY = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

type Calls = readonly [methods: readonly HTTPMethods[], paths: readonly string[], sentence: string];

/** Below `/api/v1`. */
const CALLS: readonly Calls[] = [
  [
    POST,
    ['/models/:m/versions', ...['upload-url', 'confirm-upload'].map((call) => `/models/:m/versions/${call}`)],
    UPLOADS,
  ],
  [
    POST,
    ['/models/:m/versions/:v/deprecate'],
    'Deprecation is not in this release. Roll the version back if it is bad.',
  ],
  [PATCH, ['/models/:m', '/models/:m/versions/:v/metrics'], CHANGES],
  [DELETE, ['/models/:m', '/models/:m/versions/:v'], 'Nothing is deleted in this release.'],
  [GET, ['/models/:m/updates'], DEVICES],
  [POST, ['/models/:m/versions/:v/resolve'], DEVICES],
  [GET, ['/models/:m', '/models/:m/versions/:v'].flatMap((of) => [`${of}/format`, `${of}/compatibility`]), CONVERTS],
  [POST, ['/models/:m/optimize', '/models/:m/versions/:v/optimize'], CONVERTS],
  [GET, ['/registry/resolve/*'], 'Not in this release. GET /models/{m}/versions/latest resolves a name.'],
  [POST, ['/registry/pull'], 'Not in this release. GET /models/{m}/versions/{v}/download answers the bytes.'],

  [POST, ['/models/:m/rollouts/:r/advance', '/models/:m/rollouts/:r/update-percentage'], PERCENT],
  [
    GET,
    ['/models/:m/rollouts/:r/status-history', '/models/:m/rollouts/:r/affected-devices', '/rollouts/active'],
    'Not in this release. GET /lifecycle/v1/rollouts/{id} and /lifecycle/v1/events tell it.',
  ],
  [DELETE, ['/models/:m/rollouts/:r'], 'Rollouts are not deleted. Use POST /lifecycle/v1/rollouts/{id}/abort.'],
  [EVERY, ['/deploy/*', '/deployments', '/deployments/*'], DEPLOY],

  [GET, ['/devices', '/devices/:device', '/devices/:device/assignments'], DEVICES],
  [BOTH, ['/devices/:device/desired-state'], DEVICES],
  [POST, ['/devices/:device/observed-state', '/devices/:device/sync', '/control/heartbeat'], DEVICES],
  [GET, ['/control/sync'], DEVICES],
  [
    POST,
    ['/device-auth/bootstrap', '/device-auth/refresh', '/device-auth/revoke'],
    'Not in this release. POST /api/v1/devices/register answers `device_token`, and renews it.',
  ],

  [POST, ['/federations/:f/invite', '/federations/:f/models'], FEDERATIONS],
  [EVERY, ['/federations/:f/privacy'], FEDERATIONS],
  [EVERY, ['/federations/:f/analytics', '/federations/:f/analytics/*', '/federations/:f/rounds/*'], PLANS],
  [EVERY, ['/federation/*', '/rounds/:r/join', '/rounds/:r/submit'], PLANS],
  [POST, ['/training/aggregate', '/training/weights', '/training/sessions', '/training/:m/stop'], TRAINING],
  [GET, ['/training/rounds', '/training/rounds/:r', '/training/rounds/:r/status', '/training/:m/status'], TRAINING],
  [BOTH, ['/training/personalized/:device'], 'Personalised models are not in this release; every device trains one.'],
  [EVERY, ['select-devices', 'start', 'cancel'].map((call) => `/training/rounds/:r/${call}`), PLANS],
  [EVERY, ['/training/updates', '/training/updates/*'], PLANS],
  [EVERY, ['/training/rounds/:r/secagg', '/training/rounds/:r/secagg/*', '/training/secagg/*', '/secagg/*'], SECAGG],

  [EVERY, ['/experiments', '/experiments/*'], EXPERIMENTS],

  [POST, ['/inference/events', '/funnel/events', '/v2/telemetry/events', '/telemetry/*'], TELEMETRY],

  [EVERY, ['/onboarding', '/orgs', '/api-keys', '/settings'].flatMap((path) => [path, `${path}/*`]), CONSOLE],
  [EVERY, ['/monitoring', '/performance'].flatMap((path) => [path, `${path}/*`]), MONITORS],
];

/** Under the SDK prefix; without a schema they are not documented. */
export function notOffered(app: App, deps: ApiDeps): void {
  for (const [methods, paths, sentence] of CALLS) refuse(app, deps, methods, paths, sentence);
}

/** The one path of theirs outside the prefix. */
export function notOfferedAtRoot(app: App, deps: ApiDeps): void {
  refuse(app, deps, POST, ['/api/v2/telemetry/events'], TELEMETRY);
}

function refuse(
  app: App,
  deps: ApiDeps,
  methods: readonly HTTPMethods[],
  paths: readonly string[],
  sentence: string,
): void {
  void app.register((scoped: App) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const url of paths) {
      scoped.route({
        method: [...methods],
        url,
        config: { scope: 'any', upload: true },
        handler: (request, reply) =>
          deps.uploads.receive(request, reply, deps.maxUploadBytes, () => {
            throw new LifecycleError('not_implemented', sentence);
          }),
      });
    }
    return Promise.resolve();
  });
}
