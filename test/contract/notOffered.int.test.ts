/** What existing SDKs may ask and this release does not serve: 501 with a sentence, whatever the body is, and nothing else. */
import { connect } from 'node:net';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, SDK, type TestApi } from './testApi.ts';
import { routesOf, type Route } from './routes.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly detail?: string;
}

let t: TestApi;
let bare: readonly Route[];
const lines: Line[] = [];
beforeAll(async () => {
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  t = await openTestApi(undefined, { logger });
  bare = (await routesOf(t)).filter(({ isBare }) => isBare);
});
afterAll(() => t.close());

/** Calls of the SDKs that must not be mistaken for a page that is gone. The page marks them later, not, or not built. */
const KNOWN: readonly (readonly [method: string, path: string])[] = [
  ['POST', '/models/m/versions'],
  ['GET', '/models/m/updates?current_version=1.0.0'],
  ['GET', '/models/m/versions/1.0.0/format'],
  ['GET', '/models/m/versions/1.0.0/compatibility?devices=a'],
  ['GET', '/registry/resolve/m:1'],
  ['POST', '/registry/pull'],
  ['POST', '/models/m/optimize'],
  ['POST', '/models/m/rollouts/1/advance'],
  ['DELETE', '/models/m/rollouts/1?force=true'],
  ['POST', '/deploy/execute'],
  ['POST', '/deploy/prepare'],
  ['POST', '/deployments/1/rollback'],
  ['GET', '/devices/d/assignments'],
  ['POST', '/devices/d/desired-state'],
  ['GET', '/devices/d/desired-state'],
  ['POST', '/devices/d/observed-state'],
  ['POST', '/devices/d/sync'],
  ['GET', '/control/sync?org_id=o&device_id=d'],
  ['POST', '/device-auth/bootstrap'],
  ['POST', '/federations/f/invite'],
  ['GET', '/federations/f/analytics/trends'],
  ['GET', '/federations/f/rounds/current'],
  ['POST', '/rounds/r/join'],
  ['POST', '/rounds/r/submit'],
  ['GET', '/federation/offers'],
  ['POST', '/federation/rounds/r/updates'],
  ['GET', '/federation/plans/p'],
  ['POST', '/training/rounds/r/select-devices'],
  ['POST', '/training/updates/u/accept'],
  ['GET', '/training/personalized/d'],
  ...['session', 'shares', 'masked', 'unmask', 'join', 'setup', 'share-keys', 'masked-vectors', 'status'].map(
    (step) => ['POST', `/training/rounds/r/secagg/${step}`] as const,
  ),
  ['POST', '/training/secagg/s/shares'],
  ...['sessions/join', 'shares', 'masked-input', 'unmask'].map((step) => ['POST', `/secagg/${step}`] as const),
  ['POST', '/experiments'],
  ['POST', '/experiments/r/gradients'],
  ['PATCH', '/experiments/e/allocations'],
  ['GET', '/experiments/e/analytics/timeseries'],
  ['PUT', '/experiments/e/target-groups'],
  ['DELETE', '/experiments/e/target-groups/g'],
  ['POST', '/inference/events'],
  ['POST', '/funnel/events'],
  ['POST', '/telemetry/inference'],
  ['POST', '/v2/telemetry/events'],
  ['GET', '/settings/org/o/egress'],
  ['GET', '/monitoring/dashboard'],
];

describe('a call that is not served', () => {
  it.each(KNOWN)('%s %s is 501', async (method, path) => {
    const answer = await t.call(method, SDK + path);
    expect(answer).toMatchObject({ status: 501, body: { code: 'not_implemented', appended: false } });
    expect(answer.body['detail']).toMatch(/[^ ]\.$/);
  });

  it('is 501 at the root, too, where SDKs ask there', async () => {
    expect((await t.call('POST', '/api/v2/telemetry/events', { body: {} })).status).toBe(501);
  });

  it('is 501 in every media type, on every such route', async () => {
    const types = [
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'application/octet-stream',
      'application/json',
      'application/json; charset=latin1',
      'text/plain',
      '',
    ];
    const faults: string[] = [];
    for (const { method, url } of bare.filter(({ method: one }) => one !== 'GET' && one !== 'HEAD')) {
      for (const type of types) {
        const path = url.replace(/:\w+|\*/g, 'x');
        const body = new Blob([Buffer.from('{"a": NaN --x \r\n')]);
        const { status } = await fetch(t.url + path, {
          method,
          headers: { authorization: `Bearer ${t.secretOf('admin')}`, ...(type === '' ? {} : { 'content-type': type }) },
          body,
        });
        if (status !== 501) faults.push(`${method} ${path} ${type}: ${status}`);
      }
    }
    expect(faults).toEqual([]);
    expect(bare.length).toBeGreaterThan(100);
  });

  it('takes a body that is refused unread, and the next request on the same connection', async () => {
    const { hostname, port } = new URL(t.url);
    const socket = connect(Number(port), hostname);
    const key = `authorization: Bearer ${t.secretOf('admin')}`;
    const body = 'x'.repeat(40_000);
    const head = `POST ${SDK}/models/m/optimize HTTP/1.1\r\nhost: h\r\n${key}\r\ncontent-type: multipart/form-data; boundary=x`;
    socket.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    socket.write(`GET /livez HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 501', 'HTTP/1.1 200']);
  });

  it('is logged as information with what is asked for, not as an error', async () => {
    lines.length = 0;
    await t.call('POST', `${SDK}/inference/events`, { body: {} });
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([[30, 'not offered']]);
    expect(lines[0]!.detail).toContain('telemetry');
  });

  it('needs a key', async () => {
    expect((await t.call('POST', `${SDK}/inference/events`, { as: null })).status).toBe(401);
  });
});
