/** An audit through the API: it runs beside the API, which answers all the while; one at a time; it ends with its client and its server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projections } from '../../projections/registry.ts';
import { schemaOf } from '../../projections/table.ts';
import { EdgeMLError } from '../../sdk/errors.ts';
import { Audit } from '../../sdk/audit.ts';
import { Http } from '../../sdk/http.ts';
import { openSession, type Session } from '../../store/connect.ts';
import { until } from '../support/log.ts';
import { openTestApi, OWN, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
let device: string;
beforeAll(async () => {
  t = await openTestApi();
  await t.published('watched', '1.0.0');
  const body = { device_identifier: 'phone', platform: 'ios' };
  device = textOf((await t.call('POST', '/api/v1/devices/register', { body, as: 'device' })).body, 'id');
});
afterAll(() => t.close());

/** An audit waits before its last read model, which no device asks for, until the session is ended. */
async function holding(of = t): Promise<Session> {
  const session = await openSession(of.adminUrl, 'holds audits');
  const { pathname } = new URL(of.adminUrl);
  await session.client.query(`ALTER ROLE edgeml_app IN DATABASE ${pathname.slice(1)} SET lock_timeout = 0`);
  const table = `${schemaOf(projections.at(-1)!)}.set_aside`;
  await until('the read model is there', async () => {
    const { rows } = await session.client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      table,
    ]);
    return rows[0]!.there;
  });
  await session.client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return session;
}

/** Lines of an audit as they come. */
async function asked(signal?: AbortSignal) {
  const answer = await fetch(`${t.url}${OWN}/audit/verify`, {
    method: 'POST',
    headers: { authorization: `Bearer ${t.secretOf('instance')}`, 'content-type': 'application/json' },
    body: '{}',
    ...(signal ? { signal } : {}),
  });
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    status: answer.status,
    /** The next line, or undefined at the end. */
    async line(): Promise<Record<string, unknown> | undefined> {
      while (!text.includes('\n')) {
        const { done, value } = await reader.read();
        if (done) return undefined;
        text += value;
      }
      const [first = ''] = text.split('\n');
      text = text.slice(first.length + 1);
      return JSON.parse(first) as Record<string, unknown>;
    },
  };
}
type Asked = Awaited<ReturnType<typeof asked>>;
/** Reads on until the log is read: then the audit waits. */
async function atReadModels(audit: Asked): Promise<void> {
  const isThere = (line: Awaited<ReturnType<Asked['line']>>) => {
    const progress = line?.['progress'] as { done: number; total: number } | undefined;
    return progress !== undefined && progress.total > 0 && progress.done === progress.total;
  };
  while (!isThere(await audit.line()));
}
async function lastOf(audit: Asked): Promise<Record<string, unknown> | undefined> {
  let last: Record<string, unknown> | undefined;
  for (let line = await audit.line(); line; line = await audit.line()) last = line;
  return last;
}
const sdk = (of = t) => new Audit(new Http({ baseUrl: of.url, apiKey: of.secretOf('instance'), attempts: 1 }));

describe('POST /audit/verify', () => {
  it('runs beside the API: between two of its lines devices and probes are answered, and a second audit is refused', async () => {
    const hold = await holding();
    const audit = await asked();
    await atReadModels(audit);
    for (let n = 0; n < 3; n += 1) {
      expect(await audit.line()).toHaveProperty('progress'); // it still runs
      expect((await t.call('GET', '/livez', { as: null })).status).toBe(200);
      const version = await t.call('GET', `/api/v1/devices/${device}/models/watched/version`, { as: 'device' });
      expect(version).toMatchObject({ status: 200, body: { version: '1.0.0' } });
    }
    const second = await t.call('POST', `${OWN}/audit/verify`, { body: {}, as: 'instance' });
    expect(second).toMatchObject({ status: 409, body: { code: 'conflict' } });
    await expect(sdk().verify()).rejects.toMatchObject({ name: 'Conflict' });
    await hold.end();
    expect(await lastOf(audit)).toMatchObject({ result: { passed: true, findings: [] } });
    expect(await sdk().verify({ fast: true })).toMatchObject({ passed: true });
  });

  it('is ended by a client that leaves: the next one begins', async () => {
    const hold = await holding();
    const leave = new AbortController();
    await atReadModels(await asked(leave.signal));
    leave.abort();
    await until('the audit is over', async () => {
      const next = await asked();
      if (next.status === 200) await atReadModels(next);
      return next.status === 200;
    });
    await hold.end();
  });

  it('tells why it ended, after it had begun: the server is stopped, which no audit holds up', async () => {
    const own = await openTestApi();
    const hold = await holding(own);
    const told = sdk(own)
      .verify()
      .catch((error: unknown) => error);
    const audits = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'edgeml audit' AND datname = current_database()`;
    await until('it runs', async () => {
      await hold.client.query('SELECT pg_stat_clear_snapshot()'); // of the transaction that holds
      return (await hold.client.query(audits)).rows.length > 0;
    });
    await own.close();
    expect(await told).toBeInstanceOf(EdgeMLError);
    expect(await told).toMatchObject({ code: 'unavailable', message: 'The server is being stopped.' });
    await hold.end();
  });
});
