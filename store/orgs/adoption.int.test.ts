/** A log of before there were organisations: its blobs are adopted by the organisation whose facts name them, and by no other. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelStream, trainingStream, versionStream } from '../../domain/events/streams.ts';
import type { AnyFact } from '../../domain/events/streams.ts';
import { asOrgId } from '../../domain/org.ts';
import { aggregated, model, requested } from '../../machines/facts.fixture.ts';
import { request } from '../../test/support/log.ts';
import { createDatabase, type TestDatabase } from '../../test/support/services.ts';
import { createBlobGrants } from '../artifacts/blobGrants.ts';
import { createPool, type Pool } from '../connect.ts';
import { createEventStore, type PostgresEventStore } from '../log/postgresEventStore.ts';
import { migrate, shippedMigrations } from '../migrate.ts';
import { queryableOf } from '../queryable.ts';
import { createOrgStore } from './orgStore.ts';

const [A, B] = [asOrgId('org_a'), asOrgId('org_b')];
const shaOf = (text: string) => createHash('sha256').update(text).digest('hex');
const MODELS = { a: '0a8f7d9e-52b4-5f0c-8f6e-2b1a4b6f7c11', b: '1b8f7d9e-52b4-5f0c-8f6e-2b1a4b6f7c22' };
const RUN = '019ab000-0000-7000-8000-00000000000b';

let db: TestDatabase;
let log: PostgresEventStore;
let pool: Pool;
beforeAll(async () => {
  db = await createDatabase({ migrated: false });
  const urls = { migrateUrl: db.migrateUrl, appUrl: db.appUrl };
  const before = shippedMigrations().filter(({ name }) => name < '0041');
  await migrate(urls, before);
  log = createEventStore({ connectionString: db.appUrl });
  pool = createPool({ connectionString: db.appUrl, max: 2 });
  await oldLog();
  await migrate(urls);
});
afterAll(async () => {
  await pool.end();
  await log.close();
  await db.drop();
});

/** One stream, as a build of that time wrote it. */
async function written(stream: string, ...facts: AnyFact[]): Promise<void> {
  const kind = stream.slice(0, stream.indexOf('-'));
  const events = facts.map((fact, i) => ({
    id: `019ab000-0000-7000-8000-${shaOf(`${stream} ${i}`).slice(0, 12)}`,
    stream,
    machine: `${kind}@1`,
    schemaVersion: 1,
    fact,
  }));
  const done = await log.append(request({ [stream]: 0 }, { events }), { lane: 'command' });
  expect(done.outcome).toBe('appended');
}

async function oldLog(): Promise<void> {
  const registered = (orgId: string, name: string): AnyFact => ({
    type: 'ModelRegistered',
    data: { ...model.registered.data, org_id: orgId, name },
  });
  const uploaded = (sha256: string): AnyFact => ({
    type: 'ArtifactUploaded',
    data: { files: [{ format: 'safetensors', sha256, bytes: 1, media_type: 'application/octet-stream' }] },
  });
  await written(modelStream(MODELS.a), registered(A, 'keyboard'), {
    // A member of a contract is no fact of ours: it neither names an owner nor a blob.
    type: 'ModelContractDeclared',
    data: { contract: { org_id: B, sha256: shaOf('named by a contract') }, digest: shaOf('digest') },
  });
  // A value that looks like a member stays a value.
  await written(modelStream(MODELS.b), registered(B, `"org_id":"${A}"`));
  await written(versionStream(MODELS.a, '1.0.0'), uploaded(shaOf('file of A')));
  await written(versionStream(MODELS.b, '1.0.0'), uploaded(shaOf('file of both')));
  await written(versionStream(MODELS.a, '1.1.0'), uploaded(shaOf('file of both')));
  const { spec, ...asked } = requested;
  const evaluation = { set: shaOf('held out') };
  await written(
    trainingStream(RUN),
    {
      type: 'TrainingRequested',
      data: {
        ...asked,
        spec: { ...spec, model_id: MODELS.b, evaluation },
        base: { version: null, sha: shaOf('base') },
      },
    },
    { type: 'RoundAggregated', data: { ...aggregated(), model_sha: shaOf('round'), opt_state_sha: shaOf('state') } },
  );
}

describe('the log of before', () => {
  it('gives each blob to the organisation of the model whose facts name it', async () => {
    const grants = createBlobGrants(queryableOf(pool));
    const holders = async (text: string) => [await grants.has(A, shaOf(text)), await grants.has(B, shaOf(text))];
    expect(await holders('file of A')).toEqual([true, false]);
    expect(await holders('file of both')).toEqual([true, true]);
    for (const text of ['base', 'held out', 'round', 'state']) expect(await holders(text)).toEqual([false, true]);
    for (const text of ['named by a contract', 'nobody named it']) expect(await holders(text)).toEqual([false, false]);
  });

  it('makes the organisations that it names', async () => {
    const orgs = await createOrgStore(queryableOf(pool)).list({ limit: 10 });
    expect(orgs.map(({ id, createdBy }) => [id, createdBy])).toEqual([
      [A, 'system'],
      [B, 'system'],
    ]);
  });
});
