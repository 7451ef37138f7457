/** What each route is asked, as A, who has one of everything; a route without a line here fails the test. */
import { randomUUID } from 'node:crypto';
import type { CallOptions } from '../testApi.ts';
import type { TwoOrgs } from '../orgs/twoOrgs.ts';
import { manyId, MANY } from './grow.ts';

export interface Ask {
  /** Names it beside others of its route. */
  readonly name: string;
  readonly path: string;
  readonly options: CallOptions;
  /** Why its work may grow. */
  readonly mayGrow?: string;
}

/** What is filled in: parameters of the path, `?query`, a body, and why its work may grow. */
interface Line {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly raw?: Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly mayGrow?: string;
}
type Lines = readonly Line[] | ((two: TwoOrgs) => readonly Line[]) | { readonly isNotAsked: string };

const plain: readonly Line[] = [{}];
const empty: readonly Line[] = [{ body: {} }];
const reason: readonly Line[] = [{ body: { reason: 'a test' } }];
const many: Line = { params: { model: manyId } };
const octets = { 'content-type': 'application/octet-stream' };
const register = (): readonly Line[] => [
  { body: { name: `new-${randomUUID()}`, framework: 'onnx', use_case: 'scale' } },
];
const ALL_ROLLOUTS = 'has no pages, by the contract of the SDKs: it answers every rollout of the model';
const FINDS_ROLLOUTS = 'finds the one that is open among all rollouts of the model';

const OWN: Readonly<Record<string, Lines>> = {
  'GET /models': [
    {},
    { query: 'limit=100' },
    { query: 'framework=onnx' },
    { query: 'framework=nobody' },
    { query: 'use_case=nothing' },
    { query: `name_contains=${MANY}` },
    { query: 'name_contains=nowhere-at-all' },
    { query: 'name_contains=q', mayGrow: 'a part of less than three letters is looked for in 2,000 names a page' },
  ],
  'POST /models': register,
  'GET /models/:model': [{}, many],
  'GET /models/:model/lineage': [{}, many],
  'POST /models/:model/rollback': reason,
  'GET /models/:model/versions': [{}, many, { ...many, query: 'lifecycle_state=Published' }],
  'POST /models/:model/versions': [{ body: { version: '7.0.0' } }],
  'GET /models/:model/versions/:version': plain,
  'POST /models/:model/versions/:version/artifact': ({ a }) => [
    { params: { version: '1.3.0' }, body: { files: [{ format: 'safetensors', sha256: a.weights }] } },
  ],
  'POST /models/:model/versions/:version/publish': empty,
  'POST /models/:model/versions/:version/publish/cancel': [
    { params: { version: '1.2.0' }, body: { reason: 'a test' } },
  ],
  'GET /blobs/:sha256': plain,
  'HEAD /blobs/:sha256': plain,
  'PUT /blobs/:sha256': [{ raw: new TextEncoder().encode('bytes of A'), headers: octets }],
  'POST /models/:model/train': ({ a }) => [
    {
      params: { model: a.learner },
      body: { new_version: '1.0.0', init_artifact: a.weights, rounds: 1, min_updates: 2 },
    },
  ],
  'GET /training': ({ a }) => [{}, { query: `model=${a.learner}` }, { query: 'status=paused' }],
  'GET /training/:run': plain,
  'GET /training/:run/rounds': plain,
  'POST /training/:run/pause': reason,
  'POST /training/:run/resume': empty,
  'POST /training/:run/stop': empty,
  'POST /training/:run/abort': reason,
  'POST /training/checkin': ({ a }) => [{ body: { device_id: a.device } }],
  'HEAD /training/tasks/:task': ({ a }) => [{ headers: { 'edgeml-lease': a.lease } }],
  'POST /training/tasks/:task/abort': ({ a }) => [
    { headers: { 'edgeml-lease': a.lease }, body: { phase: 'train', reason: 'a test' } },
  ],
  'PUT /training/tasks/:task/update': ({ a }) => [
    { headers: { ...octets, 'edgeml-lease': a.lease }, raw: new Uint8Array(64) },
  ],
  'GET /rollouts': [
    {},
    { query: `model=${manyId}` },
    { query: 'status=aborted' },
    { query: 'live=true' },
    { query: 'version=9.9.9' },
  ],
  'POST /models/:model/rollouts': [{ body: { version: '1.0.0', preset: 'immediate' } }],
  'GET /rollouts/:rollout': plain,
  'POST /rollouts/:rollout/start': empty,
  'POST /rollouts/:rollout/pause': reason,
  'POST /rollouts/:rollout/resume': empty,
  'POST /rollouts/:rollout/advance': [{ body: { override: true, reason: 'a test' } }],
  'POST /rollouts/:rollout/abort': reason,
  'POST /rollouts/:rollout/rollback': reason,
  'POST /rollouts/:rollout/root-cause': [{ body: { text: 'a test' } }],
  'GET /rollouts/:rollout/health': plain,
  'GET /rollouts/:rollout/post-mortem': plain,
  'POST /devices/:device/reports': ({ a }) => [
    {
      body: { model: a.model, version: '1.1.0', session: 'first', seq: 1, acked: 0, predictions: { ok: 1, failed: 0 } },
    },
  ],
  'GET /devices/:device/models/:model/why': [{}, many],
  'POST /devices/:device/release': empty,
  'GET /operations/:id': ({ a }) => a.operations.map((id) => ({ params: { id } })),
  'GET /events': ({ a }) => [
    {},
    { query: 'newest_first=true' },
    { query: `model=${a.model}` },
    { query: 'kind=training' },
    { query: 'type=VersionRolledBack' },
    { query: `stream=rollout-${a.rollout}` },
  ],
  'GET /events/:id': plain,
  'GET /streams/:stream': plain,
  'POST /audit/verify': { isNotAsked: 'checks the whole log: long work, told line by line' },
  'POST /admin/read-models/:name/rebuild': { isNotAsked: 'reads the whole log: long work, told line by line' },
  'GET /audit/checkpoint': plain,
  'GET /audit/replay': ({ a }) => [{ query: `stream=model-${a.model}` }],
  'POST /keys': [{ body: { name: 'more', roles: ['viewer'] } }],
  'GET /keys': plain,
  'POST /keys/:key/revoke': empty,
  'GET /access/me': plain,
  'POST /orgs': [{ body: { name: 'more' } }],
  'GET /orgs': plain,
};

const deployment = {
  ...{ version: '1.0.0', rollout_percentage: 100, target_percentage: 100, increment_step: 100 },
  start_immediately: true,
};

const SDK: Readonly<Record<string, Lines>> = {
  'GET /models': [
    { mayGrow: 'answers all models, by the contract of the SDKs; 500 are in memory' },
    { query: 'limit=100&offset=0' },
    { query: 'limit=100&framework=onnx' },
    { query: 'limit=100&offset=300', mayGrow: 'counts the models that it passes over' },
    { query: 'use_case=nothing' },
  ],
  'POST /models': register,
  'GET /models/:model': [{}, many],
  'GET /models/:model/versions': [{}, many, { ...many, query: 'status=published' }],
  'GET /models/:model/versions/latest': [{}, many],
  'GET /models/:model/versions/:version': plain,
  'POST /models/:model/versions/:version/publish': empty,
  'GET /models/:model/versions/:version/download': [{ query: 'format=safetensors' }],
  'GET /models/:model/versions/:version/download-url': [{ query: 'format=safetensors' }],
  'POST /models/:model/rollouts': [
    { body: deployment },
    { ...many, body: { ...deployment, version: '0.0.1' }, mayGrow: FINDS_ROLLOUTS },
  ],
  'GET /models/:model/rollouts': [{}, { ...many, mayGrow: ALL_ROLLOUTS }],
  'GET /models/:model/rollouts/active': [{}, { ...many, mayGrow: FINDS_ROLLOUTS }],
  'GET /models/:model/rollouts/:rollout': plain,
  'POST /models/:model/rollouts/:rollout/start': empty,
  'POST /models/:model/rollouts/:rollout/pause': empty,
  'POST /models/:model/rollouts/:rollout/resume': empty,
  'POST /models/:model/rollback': reason,
  'POST /models/:model/versions/upload': { isNotAsked: 'its work is that of the bytes of a form' },
  'GET /federations': plain,
  'POST /federations': [{ body: { name: 'federation-of-a' } }],
  'GET /federations/:federation': plain,
  'GET /federations/:federation/members': plain,
  'GET /federations/:federation/models': [
    { mayGrow: 'answers all models of the organisation, by the contract of the SDKs; 500 are in memory' },
  ],
  'POST /federations/:federation/join': empty,
  'GET /settings/org/:org/device-policy': [{ params: { org: 'default' } }],
  'GET /devices/:device/groups': plain,
  'GET /models/:model/optimized-config/:type': [{ params: { type: 'phone' } }],
  'POST /devices/register': [{ body: { device_identifier: 'phone-of-a' } }],
  'POST /devices/:device/heartbeat': [{ body: { platform: 'android' } }],
  'PUT /devices/:device/heartbeat': [{ body: { platform: 'android' } }],
};

const ROOT: Readonly<Record<string, Lines>> = {
  ...Object.fromEntries(
    ['/livez', '/healthz', '/readyz', '/metrics', '/version', '/openapi.json', '/health', '/api/v1/health'].map(
      (path) => [`GET ${path}`, plain],
    ),
  ),
  'GET /errors/:code': plain,
  'GET /blobs/:sha256': plain,
  'HEAD /blobs/:sha256': plain,
  ...Object.fromEntries(
    ['', '/api/v1'].flatMap((mount) => [
      [`GET ${mount}/devices/:device/models/:model/version`, [{}, many]],
      [`GET ${mount}/devices/:device/models/:model/bucket`, [{}, many]],
      [`POST ${mount}/devices/:device/models/:model/assign`, [{ body: {} }, { ...many, body: {} }]],
    ]),
  ),
};

const below = (prefix: string, lines: Readonly<Record<string, Lines>>) =>
  Object.entries(lines).map(([route, line]) => [route.replace(' ', ` ${prefix}`), line] as const);

/** `METHOD url` → what it is asked. */
export const LINES: Readonly<Record<string, Lines>> = {
  ...ROOT,
  ...Object.fromEntries([...below('/lifecycle/v1', OWN), ...below('/api/v1', SDK)]),
};

/** What a route is asked; nothing where its line says why. A route that serves nothing needs no line. */
export function asksOf(two: TwoOrgs, method: string, url: string): Ask[] {
  const lines: Lines = LINES[`${method} ${url}`] ?? (method === 'GET' ? plain : empty);
  if ('isNotAsked' in lines) return [];
  const { a } = two;
  const known: Readonly<Record<string, string | number>> = {
    ...{ model: a.model, version: a.version, rollout: a.rollout, run: a.run, task: a.task, device: a.device },
    ...{
      sha256: a.blob,
      id: a.event,
      key: a.key,
      stream: `model-${a.model}`,
      code: 'blob_unknown',
      federation: a.federation,
    },
  };
  return (typeof lines === 'function' ? lines(two) : lines).map(({ params, query, mayGrow, ...options }) => {
    const filled = url.replace(/:(\w+)/g, (_, name: string) =>
      encodeURIComponent(params?.[name] ?? known[name] ?? 'x'),
    );
    const path = query === undefined ? filled : `${filled}?${query}`;
    const told = path.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id');
    return { name: `${method} ${told}`, path, options, ...(mayGrow === undefined ? {} : { mayGrow }) };
  });
}
