/** Bad bytes, hashes, ranges and links of files: a clear answer, and nothing is written. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_UPLOAD, OWN, openTestApi, SDK, textOf, type TestApi } from './testApi.ts';
import { expectRefused } from './expectRefused.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
  await t.published('refusals', '1.0.0', '1.1.0');
  await t.settle();
});
afterAll(() => t.close());

const refused = expectRefused(() => t);

describe('blobs', () => {
  const bytes = Buffer.from('some weights');
  const digest = createHash('sha256').update(bytes).digest('hex');
  const octets = { 'content-type': 'application/octet-stream' };

  it('are refused with another hash, a hash that is none, and too large', async () => {
    await refused('PUT', `${OWN}/blobs/${'0'.repeat(64)}`, { raw: bytes, headers: octets }, 'checksum_mismatch');
    await refused('PUT', `${OWN}/blobs/nonsense`, { raw: bytes, headers: octets }, 'invalid_input');
    const huge = new Uint8Array(MAX_UPLOAD + 1);
    await refused('PUT', `${OWN}/blobs/${digest}`, { raw: huge, headers: octets }, 'payload_too_large');
    expect((await t.call('GET', `${OWN}/blobs/${digest}`)).status).toBe(404);
  });

  it('leave nothing behind when an upload breaks off', async () => {
    const { hostname, port } = new URL(t.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        const head = [
          `PUT ${OWN}/blobs/${digest} HTTP/1.1`,
          `host: ${hostname}`,
          `authorization: Bearer ${t.secretOf('admin')}`,
        ];
        socket.write(
          `${[...head, 'content-type: application/octet-stream', `content-length: ${bytes.length}`].join('\r\n')}\r\n\r\nsome`,
        );
        setTimeout(() => socket.destroy(), 50);
      });
      socket.once('close', () => resolve());
      socket.on('error', () => undefined);
    });
    expect((await t.call('GET', `${OWN}/blobs/${digest}`)).status).toBe(404);
  });

  it('come back whole, by range, by signed link and not by an altered one', async () => {
    const put = await t.call('PUT', `${OWN}/blobs/${digest}`, { raw: bytes, headers: octets });
    expect(put.status).toBe(201);
    expect((await t.call('PUT', `${OWN}/blobs/${digest}`, { raw: bytes, headers: octets })).status).toBe(200);
    const whole = await t.call('GET', `${OWN}/blobs/${digest}`);
    expect(Buffer.from(whole.bytes).equals(bytes)).toBe(true);
    expect(whole.headers.get('x-checksum-sha256')).toBe(digest);
    const part = await t.call('GET', `${OWN}/blobs/${digest}`, { headers: { range: 'bytes=5-' } });
    expect([part.status, new TextDecoder().decode(part.bytes)]).toEqual([206, 'weights']);
    await refused('GET', `${OWN}/blobs/${digest}`, { headers: { range: 'bytes=99-' } }, 'bad_range');
    const head = await t.call('HEAD', `${OWN}/blobs/${digest}`);
    expect([head.status, head.headers.get('content-length'), head.bytes.length]).toEqual([
      200,
      String(bytes.length),
      0,
    ]);
    expect(
      (await t.call('GET', `${OWN}/blobs/${digest}`, { headers: { 'if-none-match': `"${digest}"` } })).status,
    ).toBe(304);

    const link = t.api.deps.links.sign(digest, 'w.bin', Date.now());
    const path = link.url.slice(t.url.length);
    expect((await t.call('GET', path, { as: null })).status).toBe(200);
    await refused('GET', path.replace('w.bin', 'v.bin'), { as: null }, 'link_invalid');
    await refused('GET', path.replace(digest, '0'.repeat(64)), { as: null }, 'link_invalid');
    const old = t.api.deps.links.sign(digest, 'w.bin', Date.now() - 16 * 60_000).url.slice(t.url.length);
    await refused('GET', old, { as: null }, 'link_expired');
    await refused('GET', `/blobs/${digest}`, { as: null }, 'invalid_api_key');
    await refused('GET', `/blobs/${digest}`, { as: 'device' }, 'insufficient_scope');
  });
});

describe('files', () => {
  it.each(['viewer', 'monitor'] as const)('are not for a %s, who may read of them', async (as) => {
    const version = `${SDK}/models/refusals/versions/1.0.0`;
    expect((await t.call('GET', version, { as })).status).toBe(200);
    for (const path of ['download', 'download-url']) {
      await refused('GET', `${version}/${path}`, { as }, 'insufficient_scope');
    }
  });
});

describe('a signed link and the key are not the same thing', () => {
  it('a revoked key is unknown', async () => {
    const made = await t.call('POST', `${OWN}/keys`, { body: { name: 'short-lived', roles: ['viewer'] } });
    expect(made.status).toBe(201);
    const secret = textOf(made.body, 'key');
    expect((await t.call('GET', `${OWN}/access/me`, { as: { secret } })).body).toMatchObject({
      roles: ['viewer'],
      org_id: 'org_local',
    });
    await t.call('POST', `${OWN}/keys/${textOf(made.body, 'id')}/revoke`, { body: {} });
    await refused('GET', `${OWN}/access/me`, { as: { secret } }, 'invalid_api_key');
    await refused('POST', `${OWN}/keys/key_nobody/revoke`, { body: {} }, 'key_not_found');
  });
});
