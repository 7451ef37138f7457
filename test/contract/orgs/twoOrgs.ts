/** Two organisations on one server: A has one of everything, and B, who has a little of its own, knows every id of A. */
import { createHash } from 'node:crypto';
import type { Role } from '../../../api/access/roles.ts';
import { openRound } from '../../../commands/openRound.ts';
import { f32Tensor, writeSafetensors } from '../../../domain/formats/safetensors/index.ts';
import {
  OWN,
  openTestApi,
  publish,
  SDK,
  systemCaller,
  textOf,
  type Answer,
  type Body,
  type CallOptions,
} from '../testApi.ts';
import type { TestApi } from '../testApi.ts';
import { heldOut } from '../../support/commands.ts';

type Call = (method: string, path: string, options?: Omit<CallOptions, 'as'>) => Promise<Answer>;

/** What B was told of A, or guessed. */
export interface Known {
  readonly model: string;
  readonly modelName: string;
  /** Has a run with an open round. */
  readonly learner: string;
  /** A name that B may use for a model of its own. */
  readonly sharedName: string;
  /** Stable; 1.1.0 is at 10 %, 1.2.0 is being published. */
  readonly version: string;
  readonly rollout: number;
  readonly federation: string;
  readonly run: string;
  readonly task: string;
  readonly lease: string;
  readonly device: string;
  readonly identifier: string;
  readonly blob: string;
  readonly weights: string;
  readonly heldOut: string;
  readonly event: string;
  readonly key: string;
  readonly operations: readonly string[];
  /** `next_cursor` of A's own lists, by path. */
  readonly cursors: Readonly<Record<string, string>>;
}

export interface TwoOrgs {
  readonly t: TestApi;
  readonly a: Known;
  readonly b: {
    readonly orgId: string;
    readonly admin: string;
    /** Published at 1.0.0, for everyone. */
    readonly model: string;
    /** Nothing in it yet. */
    readonly empty: string;
    readonly device: string;
    /** First weights of B's own. */
    readonly weights: string;
    readonly key: string;
  };
  /** As B, with every role that an organisation can give. */
  readonly asB: Call;
  /** As B, with one role. */
  readonly asRoleOfB: (role: Role) => Call;
}

const ROLES = ['admin', 'operator', 'monitor', 'auditor', 'viewer', 'device'] as const;
const octets = { 'content-type': 'application/octet-stream' };
export const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Opens the API and makes both. The caller closes the API. */
export async function openTwoOrgs(through?: (url: string) => string): Promise<TwoOrgs> {
  const t = await openTestApi(through);
  const asA: Call = (method, path, options) => t.call(method, path, options);
  const a = await makeA(t, asA);
  const made = await t.call('POST', `${OWN}/orgs`, { body: { id: 'org_b', name: 'B' }, as: 'instance' });
  const admin = textOf(made.body['admin_key'] as Body, 'key'); // the answer fits its schema
  const keyOf = async (name: string, roles: readonly Role[]) =>
    (await t.call('POST', `${OWN}/keys`, { body: { name, roles }, as: { secret: admin } })).body;
  const all = await keyOf('all', ROLES);
  const as =
    (secret: string): Call =>
    (method, path, options) =>
      t.call(method, path, { ...options, as: { secret } });
  const roles = new Map<Role, Call>();
  for (const role of ROLES) roles.set(role, as(textOf(await keyOf(role, [role]), 'key')));
  const asB = as(textOf(all, 'key'));
  const model = await register(asB, 'model-of-b');
  await publish(t.api.deps, model, '1.0.0');
  await everyone(asB, model, '1.0.0');
  const empty = await register(asB, 'empty-of-b');
  const weights = await upload(asB, weightsOf(7));
  const device = await deviceOf(asB, 'phone-of-b');
  await t.settle();
  const b = { orgId: 'org_b', admin, model, empty, device, weights, key: textOf(all, 'id') };
  return { t, a, b, asB, asRoleOfB: (role) => roles.get(role)! };
}

const weightsOf = (n: number) => writeSafetensors([f32Tensor('w', [2], Float32Array.of(n, n))]);

async function register(call: Call, name: string): Promise<string> {
  const body = { name, framework: 'pytorch', use_case: 'test' };
  return textOf((await call('POST', `${OWN}/models`, { body })).body, 'id');
}

async function upload(call: Call, bytes: Uint8Array): Promise<string> {
  const sha256 = shaOf(bytes);
  await call('PUT', `${OWN}/blobs/${sha256}`, { raw: new Uint8Array(bytes), headers: octets });
  return sha256;
}

const deviceOf = async (call: Call, device_identifier: string) =>
  textOf((await call('POST', `${SDK}/devices/register`, { body: { device_identifier, platform: 'ios' } })).body, 'id');

async function everyone(call: Call, model: string, version: string): Promise<void> {
  const made = await call('POST', `${OWN}/models/${model}/rollouts`, {
    body: { version, preset: 'immediate', start: true },
  });
  const body = { override: true, reason: 'test' };
  await call('POST', `${OWN}/rollouts/${String(made.body['id'])}/advance`, { body });
}

async function makeA(t: TestApi, call: Call): Promise<Known> {
  const modelName = 'model-of-a';
  const model = await register(call, modelName);
  await register(call, 'shared');
  for (const version of ['1.0.0', '1.1.0']) await publish(t.api.deps, model, version);
  await everyone(call, model, '1.0.0');
  const stages = [10, 100].map((percent) => ({ percent, ramp: '0s', min_bake: '1h', max_bake: '2h' }));
  const live = await call('POST', `${OWN}/models/${model}/rollouts`, {
    body: { version: '1.1.0', stages, start: true },
  });
  const rollout = Number(live.body['id']);
  const blob = await upload(call, Buffer.from('bytes of A'));
  const file = { format: 'safetensors', sha256: await upload(call, weightsOf(12)) };
  const notes = { format: 'notes', sha256: blob };
  await call('POST', `${OWN}/models/${model}/versions/1.2.0/artifact`, { body: { files: [file, notes] } });
  const publication = await call('POST', `${OWN}/models/${model}/versions/1.2.0/publish`, { body: {} });

  const learner = await register(call, 'learner-of-a');
  const weights = await upload(call, weightsOf(1));
  const train = async (new_version: string) => {
    const body = { new_version, init_artifact: weights, rounds: 1, min_updates: 2 };
    return textOf((await call('POST', `${OWN}/models/${learner}/train`, { body })).body, 'id').slice(
      'training:'.length,
    );
  };
  const run = await train('1.0.0');
  await train('1.1.0');
  await openRound(t.api.deps.commands, systemCaller(), { runId: run });
  const device = await deviceOf(call, 'phone-of-a');
  const leased = await call('POST', `${OWN}/training/checkin`, { body: { device_id: device, runs: [run] } });
  const task = leased.body['task'] as Body; // the answer fits its schema
  const report = { model, version: '1.1.0', session: 'first', seq: 1, acked: 0, predictions: { ok: 3, failed: 1 } };
  await call('POST', `${OWN}/devices/${device}/reports`, { body: report });
  const federation = await call('POST', `${SDK}/federations`, { body: { name: 'federation-of-a' } });
  const key = await call('POST', `${OWN}/keys`, { body: { name: 'key-of-a', roles: ['viewer'] } });

  await t.settle();
  const cursors: Record<string, string> = {};
  for (const path of ['/models', '/rollouts', '/training', '/events']) {
    cursors[path] = textOf((await call('GET', `${OWN}${path}?limit=1`)).body, 'next_cursor');
  }
  const [first] = (await call('GET', `${OWN}/events?model=${model}&limit=1`)).body['items'] as Body[];
  return {
    ...{
      model,
      modelName,
      learner,
      sharedName: 'shared',
      version: '1.0.0',
      rollout,
      run,
      device,
      identifier: 'phone-of-a',
    },
    ...{ blob, weights, cursors, task: textOf(task, 'task_id'), lease: textOf(task, 'lease') },
    federation: textOf(federation.body, 'id'),
    heldOut: await upload(call, heldOut()),
    event: textOf(first ?? {}, 'id'),
    key: textOf(key.body, 'id'),
    operations: [`training:${run}`, `rollout:${rollout}`, textOf(publication.body, 'id')],
  };
}
