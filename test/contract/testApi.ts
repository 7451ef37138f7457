/** The API as tests use it: a real server on a real database, and a client that holds every answer against /openapi.json. */
import { verify, type VerifyReport } from '../../audit/verify.ts';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import pino from 'pino';
import type { Role } from '../../api/access/roles.ts';
import { openApi, type RunningApi, type OpenOptions } from '../../api/open.ts';
import { createCommandDeps } from '../../commands/createDeps.ts';
import { f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { asOrgId } from '../../domain/org.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { createEventStore } from '../../store/log/postgresEventStore.ts';
import type { Caller, CommandDeps, Outcome } from '../../commands/context.ts';
import { recordPublished } from '../../commands/recordPublished.ts';
import { requestPublish } from '../../commands/requestPublish.ts';
import { uploadArtifact } from '../../commands/uploadArtifact.ts';
import { startProjections } from '../../projections/runner.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createPool } from '../../store/connect.ts';
import { until } from '../support/log.ts';
import { createDatabase, testHome } from '../support/services.ts';
import { createContract, type Contract, type OpenApi } from './openapi.ts';

/** A JSON object, or `{text}` of anything else. */
export type Body = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
  readonly bytes: Uint8Array;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Sent as it is. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  /** A role's key, another secret, or null for none; the admin's otherwise. */
  readonly as?: Role | null | { readonly secret: string };
  /** False: a POST without an Idempotency-Key. */
  readonly idempotent?: false;
}

export interface TestApi {
  readonly url: string;
  /** Of its database, as a superuser. */
  readonly adminUrl: string;
  readonly api: RunningApi;
  readonly blobDir: string;
  readonly contract: Contract;
  /** The audit in this process; the API's own takes seconds to begin. */
  verify(): Promise<VerifyReport>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Facts in the database, sequenced or not. */
  facts(): Promise<number>;
  /** A model with published versions, made by the use cases alone. Answers its id. */
  published(name: string, ...versions: string[]): Promise<string>;
  secretOf(role: Role): string;
  /** Bytes that the admin's organisation has uploaded. Answers their SHA-256. */
  upload(bytes: Buffer): Promise<string>;
  /** Waits until lists and pointers hold every fact; 20 s at most unless said otherwise. */
  settle(patienceMs?: number): Promise<void>;
  close(): Promise<void>;
}

const ROLES: readonly Role[] = ['admin', 'operator', 'monitor', 'auditor', 'viewer', 'device', 'instance'];
export const MAX_UPLOAD = 64 * 1024;
export const OWN = '/lifecycle/v1';
export const SDK = '/api/v1';

/** A member that must be text. */
export const textOf = (body: Body, member: string): string => {
  const value = body[member];
  if (typeof value !== 'string') throw new Error(`${member} is no text in ${JSON.stringify(body).slice(0, 300)}`);
  return value;
};

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/**
 * Opens all of it. The caller closes it.
 *
 * @param through how the API itself reaches the database; the sequencer, the projections and the test reach it directly
 */
export async function openTestApi(
  through: (url: string) => string = (url) => url,
  {
    corsOrigins = [],
    maxUploadBytes = MAX_UPLOAD,
    uploads = {},
    deviceAuth = 'fleet',
    rateLimit,
    logger = pino({ level: 'silent' }),
  }: Partial<
    Pick<OpenOptions, 'corsOrigins' | 'maxUploadBytes' | 'uploads' | 'deviceAuth' | 'rateLimit' | 'logger'>
  > = {},
): Promise<TestApi> {
  const database = await createDatabase();
  const connectionString = database.appUrl;
  const stop = new AbortController();
  const pool = createPool({ connectionString, max: 1 });
  const blobDir = testHome('blobs');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const api = openApi({
    connectionString: through(connectionString),
    blobs: createFileStore(blobDir),
    secret: randomBytes(32),
    publicUrl: url,
    corsOrigins,
    deviceAuth,
    maxUploadBytes,
    rateLimit,
    uploads,
    version: '0.0.0-test',
    logger,
  });
  const { watch } = api.deps;
  const log = createEventStore({ connectionString });
  const loops = [
    runSequencer({ connectionString, signal: stop.signal, log: logger }),
    startProjections({ connectionString, log, onGrowth: watch.onGrowth, signal: stop.signal, logger }).done,
  ];
  await api.app.listen({ host: '127.0.0.1', port });
  const isStarting = async () => (await api.deps.parts()).some((part) => part.state === 'starting');
  await until('its read models are there', async () => !(await isStarting()));

  const secrets = new Map<Role, string>();
  for (const role of ROLES) {
    // The admin's key is that of the bootstrap file: it operates the instance too.
    const roles = role === 'admin' ? [role, 'instance'] : [role];
    const key = { name: role, orgId: asOrgId('org_local'), roles, createdBy: 'test', kind: 'test' as const };
    secrets.set(role, (await api.keys.createKey(key)).secret);
  }
  const secretOf = (role: Role) => secrets.get(role)!;
  // Our own document; its shape is what the checker needs, or the checker fails.
  const contract = createContract((await (await fetch(`${url}/openapi.json`)).json()) as OpenApi);

  const facts = async () => (await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM store.events')).rows[0]!.n;

  async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { body, raw, as = 'admin', idempotent } = options;
    const headers = new Headers(options.headers);
    const secret = as === null ? undefined : typeof as === 'string' ? secretOf(as) : as.secret;
    if (secret) headers.set('authorization', `Bearer ${secret}`);
    if (idempotent !== false && method === 'POST' && !headers.has('idempotency-key')) {
      headers.set('idempotency-key', randomUUID());
    }
    if (body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(url + path, { method, headers, redirect: 'manual', ...(sent ? { body: sent } : {}) });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const contentType = (response.headers.get('content-type') ?? '').split(';')[0]!;
    const text = new TextDecoder().decode(bytes);
    const isJson = /[/+]json$/.test(contentType) && text !== '';
    const parsed: unknown = isJson ? JSON.parse(text) : { text };
    contract.check(method, path.split('?')[0]!, { status: response.status, contentType, body: parsed });
    if (!response.headers.has('x-request-id')) throw new Error(`${method} ${path} has no X-Request-Id`);
    // An array is an object with members by name, too.
    return { status: response.status, headers: response.headers, body: parsed as Body, bytes };
  }

  return {
    url,
    adminUrl: database.adminUrl,
    api,
    blobDir,
    contract,
    async verify() {
      const log = createEventStore({ connectionString });
      return verify({ connectionString, log }).finally(() => log.close());
    },
    call,
    secretOf,
    facts,
    async upload(bytes) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      await call('PUT', `${OWN}/blobs/${sha256}`, {
        raw: new Uint8Array(bytes),
        headers: { 'content-type': 'application/octet-stream' },
      });
      return sha256;
    },
    settle: (patienceMs) => settled(api, facts, patienceMs),
    async published(name, ...versions) {
      const model = { name, framework: 'pytorch', use_case: 'test' };
      const { body } = await call('POST', `${OWN}/models`, { body: model });
      const modelId = textOf(body, 'id');
      for (const version of versions) await publish(api.deps, modelId, version);
      await settled(api, facts);
      return modelId;
    },
    async close() {
      await api.close();
      stop.abort();
      await Promise.all(loops);
      await log.close();
      await pool.end();
      await database.drop();
    },
  };
}

/** Who stands in for a workflow. */
export const systemCaller = (): Caller => ({
  actor: { kind: 'system', id: 'test' },
  orgId: null,
  commandId: randomUUID(),
  commandHash: null,
  correlationId: null,
  causationId: null,
  onConflict: 'redecide',
});

const must = (outcome: Outcome) => {
  if (outcome.outcome !== 'appended') throw new Error(`expected facts, got ${JSON.stringify(outcome)}`);
};

/** The one file of a version that {@link publish} makes. */
export const weightsOf = (version: string): Uint8Array =>
  writeSafetensors([f32Tensor(`weights of ${version}`, [1], Float32Array.of(1))]);

/** Uploads, asks for publication and records it: what the workflow would do. */
export async function publish(
  deps: { blobs: ArtifactStore; commands: CommandDeps },
  modelId: string,
  version: string,
): Promise<void> {
  const bytes = weightsOf(version);
  const { sha256 } = await deps.blobs.put(bytes, { max: 1_000 });
  const owner = await deps.commands.owners.ownerOf(modelId);
  if (owner) await deps.commands.grants.grant(owner, [sha256]);
  const files = [{ format: 'safetensors', sha256, bytes: bytes.length, media_type: 'application/octet-stream' }];
  must(await uploadArtifact(deps.commands, systemCaller(), { modelId, version, files }));
  const requested = await requestPublish(deps.commands, systemCaller(), { modelId, version });
  must(requested);
  const reportSha = createHash('sha256').update('report').digest('hex');
  must(
    await recordPublished(deps.commands, systemCaller(), {
      modelId,
      version,
      n: requested.n,
      files,
      tensorsSha: sha256,
      reportSha,
    }),
  );
}

const LISTS = ['catalog', 'versions', 'rollouts', 'training', 'activity', 'pointers'] as const;

/** Waits until every fact has its place in the log, and every read model and the pointers hold it. */
async function settled({ deps }: RunningApi, facts: () => Promise<number>, patienceMs = 20_000): Promise<void> {
  const last = (await facts()) - 1;
  const isThere = await Promise.all([
    ...LISTS.map((name) => deps.reads.waitFor(name, last, patienceMs)),
    deps.pointers.waitFor(last, patienceMs),
  ]);
  if (isThere.includes(false)) throw new Error(`the read models did not reach ${last} in ${patienceMs} ms`);
}

/** The same for a server in another process, over its database and blob folder. */
export async function publishAll(
  connectionString: string,
  blobDir: string,
  modelId: string,
  ...versions: string[]
): Promise<void> {
  const log = createEventStore({ connectionString });
  const pool = createPool({ connectionString, max: 2 });
  const blobs = createFileStore(blobDir);
  try {
    const commands = createCommandDeps({ log, blobs, pool });
    for (const version of versions) await publish({ blobs, commands }, modelId, version);
  } finally {
    await log.close();
    await pool.end();
  }
}
