/** What B tries on each route, with what it knows of A. One line a route: a route without a line fails the test. */
import {
  REASON,
  absent,
  absentRollout,
  assignmentProbes,
  blobProbes,
  files,
  held,
  list,
  octets,
  one,
  points,
  registration,
  streamsOfA,
  withIdsOfA,
  type Expected,
  type Probe,
  type Probes,
} from './probeKinds.ts';
import type { TwoOrgs } from './twoOrgs.ts';

const OWN_ROUTES: Readonly<Record<string, Probes>> = {
  'GET /models': list(() => ['name_contains=of-a', 'framework=nobody']),
  'POST /models': one('own', { body: registration }),
  'GET /models/:model': (two, url) => [
    ...absent()(two, url),
    ...points(two, withIdsOfA(two, url, { model: two.b.model })).slice(0, 1),
  ],
  'GET /models/:model/lineage': (two, url) => [
    ...absent()(two, url),
    ...points(two, withIdsOfA(two, url, { model: two.b.model })),
  ],
  'POST /models/:model/rollback': absent(REASON),
  'GET /models/:model/versions': (two, url) => [
    ...absent()(two, url),
    ...points(two, withIdsOfA(two, url, { model: two.b.model })),
  ],
  'POST /models/:model/versions': absent({ version: '9.0.0' }),
  'GET /models/:model/versions/:version': absent(),
  'POST /models/:model/versions/:version/artifact': (two, url) => {
    const mine = withIdsOfA(two, url, { model: two.b.model, version: '3.0.0' });
    const shas = [two.a.blob, two.a.weights, two.a.heldOut];
    return [
      ...absent(files(two.b.weights))(two, url),
      ...shas.map((sha): Probe => ({ path: mine, expected: 'absent', options: { body: files(sha) } })),
      ...shas.map((sha): Probe => ({
        path: `${mine}?dry_run=true`,
        expected: 'absent',
        options: { body: files(sha) },
      })),
    ];
  },
  'POST /models/:model/versions/:version/publish': absent({}),
  'POST /models/:model/versions/:version/publish/cancel': absent(REASON),
  'GET /blobs/:sha256': (two, url) => blobProbes(two, url),
  'HEAD /blobs/:sha256': (two, url) => blobProbes(two, url),
  'PUT /blobs/:sha256': one('refused', { raw: Buffer.from('other bytes'), headers: octets }),
  'POST /models/:model/train': (two, url) => {
    const request = { new_version: '1.0.0', rounds: 1, min_updates: 2 };
    const mine = withIdsOfA(two, url, { model: two.b.empty });
    const evaluated = { ...request, init_artifact: two.b.weights, evaluation: { set: two.a.heldOut } };
    return [
      ...absent({ ...request, init_artifact: two.b.weights })(two, url),
      { path: mine, expected: 'absent', options: { body: { ...request, init_artifact: two.a.weights } } },
      { path: mine, expected: 'absent', options: { body: evaluated } },
    ];
  },
  'GET /training': list(({ a }) => [`model=${a.learner}`, `model=learner-of-a`, 'status=active']),
  'GET /training/:run': absent(),
  'GET /training/:run/rounds': absent(),
  'POST /training/:run/pause': absent(REASON),
  'POST /training/:run/resume': absent({}),
  'POST /training/:run/stop': absent({}),
  'POST /training/:run/abort': absent(REASON),
  'POST /training/checkin': ({ a, b }, path) => [
    { path, expected: 'absent', options: { body: { device_id: a.device } } },
    { path, expected: 'absent', options: { body: { device_id: a.identifier } } },
    { path, expected: 'absent', options: { body: { device_id: b.device, runs: [a.run] } } },
    { path, expected: 'own', options: { body: { device_id: b.device } } },
  ],
  'HEAD /training/tasks/:task': (two, url) => held(two, url),
  'POST /training/tasks/:task/abort': (two, url) => held(two, url, { body: { phase: 'train', reason: 'B asks' } }),
  'PUT /training/tasks/:task/update': (two, url) => held(two, url, { raw: new Uint8Array(64), headers: octets }),
  'GET /rollouts': list(({ a }) => [`model=${a.model}`, `model=${a.modelName}`, 'version=1.1.0', 'live=true']),
  'POST /models/:model/rollouts': absent({ version: '1.1.0', preset: 'immediate', start: true }),
  'GET /rollouts/:rollout': absent(),
  'POST /rollouts/:rollout/start': absent({}),
  'POST /rollouts/:rollout/pause': absent(REASON),
  'POST /rollouts/:rollout/resume': absent({}),
  'POST /rollouts/:rollout/advance': absent({ override: true, ...REASON }),
  'POST /rollouts/:rollout/abort': absent(REASON),
  'POST /rollouts/:rollout/rollback': absent(REASON),
  'POST /rollouts/:rollout/root-cause': absent({ text: 'B says so' }),
  'GET /rollouts/:rollout/health': absent(),
  'GET /rollouts/:rollout/post-mortem': absent(),
  'POST /devices/:device/reports': (two, url) => {
    const { a, b } = two;
    const report = (model: string) => ({
      model,
      version: '1.1.0',
      session: 'probe',
      seq: 9,
      acked: 0,
      predictions: { ok: 0, failed: 1_000 },
    });
    const from = (device: string, model: string): Probe => ({
      path: withIdsOfA(two, url, { device }),
      expected: 'absent',
      options: { body: report(model) },
    });
    return [from(a.device, a.model), from(a.identifier, b.model), from(b.device, a.model), from(b.device, a.modelName)];
  },
  'POST /devices/:device/release': ({ a }, url) =>
    [a.device, a.identifier].map((device) => ({
      path: url.replace(':device', device),
      expected: 'absent',
      options: { body: {} },
    })),
  'GET /devices/:device/models/:model/why': (two, url) => assignmentProbes(two, url),
  'GET /operations/:id': (two, url) =>
    two.a.operations.map((id) => ({ path: withIdsOfA(two, url, { id }), expected: 'absent' })),
  'GET /events': list(({ a }) => [
    `model=${a.model}`,
    `model=${a.modelName}`,
    `stream=rollout-${a.rollout}`,
    'kind=training',
    'type=TrainingRequested',
  ]),
  'GET /events/:id': absent(),
  'GET /streams/:stream': (two, url) =>
    streamsOfA(two).map((stream) => ({ path: withIdsOfA(two, url, { stream }), expected: 'absent' })),
  'POST /audit/verify': one('refused', { body: { fast: true } }),
  'POST /admin/read-models/:name/rebuild': one('refused', { body: {} }),
  'GET /audit/checkpoint': one('refused'),
  'GET /audit/replay': (two, path) => [
    ...streamsOfA(two).map((stream): Probe => ({
      path: `${path}?stream=${encodeURIComponent(stream)}`,
      expected: 'absent',
    })),
    { path: `${path}?stream=model-${two.b.model}&to=event:${two.a.event}`, expected: 'absent' },
  ],
  'POST /keys': one('refused', { body: { name: 'more', roles: ['instance'] } }),
  'GET /keys': one('own'),
  'POST /keys/:key/revoke': absent({}),
  'GET /access/me': one('own'),
  'POST /orgs': one('refused', { body: { name: 'mine' } }),
  'GET /orgs': one('refused'),
};

/** A's federation, by its id: not there. */
const federationOfA =
  (expected: Expected, options: Probe['options'] = {}): Probes =>
  (two, url) => [{ path: withIdsOfA(two, url, { federation: two.a.federation }), expected, options }];

const SDK_ROUTES: Readonly<Record<string, Probes>> = {
  'GET /models': (_, url) => [
    { path: url, expected: 'own' },
    { path: `${url}?org_id=org_local`, expected: 'refused' },
    { path: url, expected: 'refused', options: { headers: { 'x-org-id': 'org_local' } } },
    { path: `${url}?org_id=default`, expected: 'own' },
  ],
  'POST /models': (_, url) => [
    { path: url, expected: 'own', options: { body: registration } },
    { path: url, expected: 'refused', options: { body: { ...registration, org_id: 'org_local' } } },
  ],
  'GET /models/:model': absent(),
  'GET /models/:model/versions': absent(),
  'GET /models/:model/versions/latest': absent(),
  'POST /models/:model/versions/upload': absent(),
  'GET /models/:model/versions/:version': absent(),
  'POST /models/:model/versions/:version/publish': absent({}),
  'GET /models/:model/versions/:version/download': absent(),
  'GET /models/:model/versions/:version/download-url': absent(),
  'POST /models/:model/rollouts': absent({
    version: '1.0.0',
    rollout_percentage: 100,
    target_percentage: 100,
    increment_step: 100,
    start_immediately: true,
  }),
  'POST /models/:model/rollback': absent({ reason: 'B asks' }),
  'GET /models/:model/rollouts': absent(),
  'GET /models/:model/rollouts/active': absent(),
  'GET /models/:model/rollouts/:rollout': absentRollout(),
  'POST /models/:model/rollouts/:rollout/start': absentRollout({}),
  'POST /models/:model/rollouts/:rollout/pause': absentRollout({}),
  'POST /models/:model/rollouts/:rollout/resume': absentRollout({}),
  'POST /devices/register': one('refused', { body: { device_identifier: 'x', org_id: 'org_local' } }),
  'POST /devices/:device/heartbeat': absent({ platform: 'android' }),
  'PUT /devices/:device/heartbeat': absent({ platform: 'android' }),
  'GET /settings/org/:org/device-policy': (_, url) => [
    { path: url.replace(':org', 'org_local'), expected: 'refused' },
    { path: url.replace(':org', 'default'), expected: 'own' },
  ],
  'GET /devices/:device/groups': absent(),
  'GET /models/:model/optimized-config/:type': absent(),
  'GET /federations': (_, url) => [
    { path: url, expected: 'own' },
    { path: `${url}?name=federation-of-a`, expected: 'own' },
    { path: `${url}?org_id=org_local`, expected: 'refused' },
  ],
  'POST /federations': (_, url) => [
    { path: url, expected: 'own', options: { body: { name: 'federation-of-a' } } },
    { path: url, expected: 'refused', options: { body: { name: 'federation-of-a', org_id: 'org_local' } } },
  ],
  'GET /federations/:federation': federationOfA('absent'),
  'GET /federations/:federation/members': federationOfA('absent'),
  'GET /federations/:federation/models': federationOfA('absent'),
  'POST /federations/:federation/join': federationOfA('not_offered', { body: {} }),
};

const ROOT_ROUTES: Readonly<Record<string, Probes>> = {
  ...Object.fromEntries(
    ['/livez', '/healthz', '/readyz', '/metrics', '/version', '/openapi.json', '/health', '/api/v1/health'].map(
      (path) => [`GET ${path}`, one('open')],
    ),
  ),
  'GET /errors/:code': (_, url) => [{ path: url.replace(':code', 'blob_unknown'), expected: 'open' }],
  'GET /blobs/:sha256': (two, url) => blobProbes(two, url),
  'HEAD /blobs/:sha256': (two, url) => blobProbes(two, url),
  'GET /devices/:device/models/:model/version': (two, url) => assignmentProbes(two, url),
  'GET /api/v1/devices/:device/models/:model/version': (two, url) => assignmentProbes(two, url),
  ...Object.fromEntries(
    ['', '/api/v1'].flatMap((mount) => [
      [`GET ${mount}/devices/:device/models/:model/bucket`, (two: TwoOrgs, url: string) => assignmentProbes(two, url)],
      [
        `POST ${mount}/devices/:device/models/:model/assign`,
        (two: TwoOrgs, url: string) => assignmentProbes(two, url).map((one) => ({ ...one, options: { body: {} } })),
      ],
    ]),
  ),
};

/** `METHOD url` → probes. */
export const PROBES: Readonly<Record<string, Probes>> = {
  ...ROOT_ROUTES,
  ...below('/lifecycle/v1', OWN_ROUTES),
  ...below('/api/v1', SDK_ROUTES),
};

function below(prefix: string, routes: Readonly<Record<string, Probes>>) {
  return Object.fromEntries(
    Object.entries(routes).map(([route, probes]) => [route.replace(' ', ` ${prefix}`), probes]),
  );
}
