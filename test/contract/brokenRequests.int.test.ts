/** Requests that HTTP, URLs, UTF-8 or JSON do not allow: each gets the body that every error has. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode } from '../../domain/errors.ts';
import { OWN, openTestApi, SDK, textOf, type TestApi } from './testApi.ts';
import { sendBytes } from './rawHttp.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

/** Sends a head (and a body), and holds the answer to the one error body. */
async function refused(lines: readonly string[], code: ErrorCode, at: string, body: string | Buffer = '') {
  const authorization = `authorization: Bearer ${t.secretOf('admin')}`;
  const head = [...lines, authorization, 'connection: close'].join('\r\n');
  const answer = await sendBytes(t.url, Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), Buffer.from(body)]));
  expect(answer.headers.get('content-type')).toMatch(
    at.startsWith(OWN) ? /^application\/problem\+json/ : /^application\/json/,
  );
  const problem: unknown = JSON.parse(answer.body);
  const requestId = answer.headers.get('x-request-id');
  const expected = { code, status: ERRORS[code].status, type: `${t.url}/errors/${code}`, request_id: requestId };
  expect(problem).toMatchObject({ ...expected, detail: expect.stringMatching(/\.$/), message: expect.any(String) });
  expect(answer.status).toBe(ERRORS[code].status);
  expect(requestId).toMatch(/^req_/);
}

const HOST = 'host: edgeml';
const paths = [`${OWN}/models`, `${SDK}/models`];

describe.each(paths)('a request to %s', (path) => {
  it.each(['%ff', '%c0%80', '%ed%a0%80', '%e2%82', '%', '%2', '%zz', 'a%'])('has no %s in its path', async (text) => {
    await refused([`GET ${path}/${text} HTTP/1.1`, HOST], 'malformed_request', path);
  });

  it.each(['name=%ff', 'name=%c0%80', '%ff=a', 'name=%', 'name=%zz'])('has no %s in its query', async (text) => {
    await refused([`GET ${path}?${text} HTTP/1.1`, HOST], 'malformed_request', path);
  });

  it('has no NUL in its path or query', async () => {
    await refused([`GET ${path}/a%00b HTTP/1.1`, HOST], 'invalid_input', path);
    await refused([`GET ${path}?framework=a%00b HTTP/1.1`, HOST], 'invalid_input', path);
    await refused([`GET ${path}?%00=a HTTP/1.1`, HOST], 'invalid_input', path);
  });

  it('has no raw bytes in its URL, no endless part of a path, and names a host', async () => {
    await refused([`GET ${path}/caf\u00e9 HTTP/1.1`, HOST], 'malformed_request', path);
    await refused([`GET ${path}/${'x'.repeat(1_001)} HTTP/1.1`, HOST], 'invalid_input', path);
    await refused([`GET ${path} HTTP/1.1`], 'malformed_request', path);
  });

  it('has headers that are some, and no more than fit', async () => {
    await refused([`GET ${path} HTTP/1.1`, HOST, 'a b: c'], 'malformed_request', path);
    await refused([`GET ${path} HTTP/1.1`, HOST, 'x: \u0000'], 'malformed_request', path);
    await refused([`GET ${path} HTTP/1.1`, HOST, `x: ${'x'.repeat(20_000)}`], 'headers_too_large', path);
    await refused([`GET ${path}/${'x'.repeat(20_000)} HTTP/1.1`, HOST], 'headers_too_large', path);
  });

  it('has one length', async () => {
    const both = ['content-length: 2', 'transfer-encoding: chunked'];
    await refused([`POST ${path} HTTP/1.1`, HOST, ...both], 'malformed_request', path, '{}');
    await refused([`POST ${path} HTTP/1.1`, HOST, 'content-length: -1'], 'malformed_request', path);
  });

  const json = (bytes: Buffer, type = 'application/json') => [
    `POST ${path} HTTP/1.1`,
    HOST,
    `content-type: ${type}`,
    `content-length: ${bytes.length}`,
    'idempotency-key: k',
  ];
  it.each([
    ['bytes that are not UTF-8', [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]],
    ['an overlong NUL', [0x5b, 0x22, 0xc0, 0x80, 0x22, 0x5d]],
    ['half a surrogate pair as UTF-8', [0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d]],
    ['a text that breaks off in a character', [0x5b, 0x22, 0xe2, 0x82, 0x22, 0x5d]],
    ['two members of one name', '{"name":"a","name":"b"}'],
    ['two members of one name, spelled apart', '{"x":[{"name":1,"n\\u0061me":2}]}'],
    ['a member __proto__', '{"a":{"__proto__":{}}}'],
    ['a member __proto__, spelled apart', '{"\\u005f_proto__":1}'],
    ['no JSON', '{"name":'],
  ])('has no %s in its body', async (_what, bytes) => {
    const body = Buffer.from(bytes as string);
    await refused(json(body), 'invalid_json', path, body);
  });

  it('has no body nested without end, no number without end, and no other charset', async () => {
    for (const text of [`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, '{"a":1e400}', '{"a":-1e999}']) {
      const body = Buffer.from(text);
      await refused(json(body), 'invalid_input', path, body);
    }
    const body = Buffer.from('{}', 'utf16le');
    await refused(json(body, 'application/json; charset=utf-16'), 'unsupported_media_type', path, body);
    await refused(json(Buffer.from('a=b'), 'text/csv'), 'unsupported_media_type', path, 'a=b');
    await refused(
      [
        `POST ${path} HTTP/1.1`,
        HOST,
        'idempotency-key: k',
        'content-type: application/json',
        'content-length: 2000000',
      ],
      'payload_too_large',
      path,
    );
  });

  it('is found by its whole URL, and by another spelling, with the same rules', async () => {
    await refused([`GET ${t.url}${path}/nobody HTTP/1.1`, HOST], 'model_not_found', path);
    const spelled = path.replace('models', '%6dodels').replace('l', '%6c').replace('p', '%70');
    await refused([`GET ${spelled}/nobody HTTP/1.1`, HOST], 'model_not_found', path);
  });
});

describe('what is no request of ours', () => {
  it.each([
    ['a method nobody knows', ['FLY /lifecycle/v1/models HTTP/1.1', HOST]],
    ['no HTTP at all', ['hello']],
    ['another version of HTTP', ['GET / HTTP/9.1', HOST]],
  ])('%s', async (_what, lines) => {
    await refused(lines, 'malformed_request', lines[0]!.includes(OWN) ? OWN : '/');
  });

  it('CONNECT, TRACE and an unknown path are not found', async () => {
    await refused(['CONNECT example.org:443 HTTP/1.1', HOST], 'route_not_found', '/');
    await refused(['TRACE / HTTP/1.1', HOST], 'route_not_found', '/');
    await refused([`DELETE ${OWN}/models HTTP/1.1`, HOST], 'route_not_found', OWN);
  });

  it('an expectation that nobody knows does not matter', async () => {
    await refused([`GET ${OWN}/models/nobody HTTP/1.1`, HOST, 'expect: a-miracle'], 'model_not_found', OWN);
  });
});

describe('JSON that is unusual and good', () => {
  it('may begin with a byte order mark, and say -0 and one name in two objects', async () => {
    const text = '\ufeff{"name":"marked","framework":"f","use_case":"u","contract":{"a":{"x":-0},"b":{"x":[]}}}';
    const headers = { 'content-type': 'application/json; charset=UTF-8' };
    const made = await t.call('POST', `${OWN}/models`, { raw: text, headers });
    expect(made).toMatchObject({ status: 201, body: { contract: { a: { x: 0 }, b: { x: [] } } } });
  });
});

describe('as_of', () => {
  it.each(['2026-02-30T00:00:00Z', '2026-01-01T24:00:00Z', '2016-12-31T23:59:60Z', '0000-01-01T00:00:00Z'])(
    '%s is refused, and names no moment',
    async (time) => {
      for (const path of ['models', 'models/nobody', 'rollouts', 'training', 'events', 'streams/model-x']) {
        const answer = await t.call('GET', `${OWN}/${path}?as_of=${time}`);
        expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
      }
    },
  );

  it('may have any offset of a day and any fraction', async () => {
    const time = encodeURIComponent('2020-01-01T00:00:00.123456789012345678901+23:59');
    expect(await t.call('GET', `${OWN}/models?as_of=${time}`)).toMatchObject({ status: 200, body: { items: [] } });
  });
});

describe('a cursor', () => {
  it('cannot be edited, made, or used with another secret', async () => {
    for (const name of ['first', 'second', 'third']) {
      await t.call('POST', `${OWN}/models`, { body: { name, framework: 'f', use_case: 'u' } });
    }
    await t.settle();
    const list = (query: string) => t.call('GET', `${OWN}/models?${query}`);
    const cursor = textOf((await list('limit=1')).body, 'next_cursor');
    expect((await list(`limit=1&cursor=${cursor}`)).status).toBe(200);
    const [body = '', mac = ''] = cursor.split('.');
    const decoded = JSON.parse(Buffer.from(body, 'base64url').toString()) as { at: number; key: unknown[] };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forged = [
      body,
      `${body}.`,
      `.${mac}`,
      `${cursor}.${mac}`,
      `${body}.${mac.slice(1)}`,
      ...[[1, 'x'], ['a'], [{}], ['\0', 'x'], ['a', 'no uuid'], [1e300, 2e300]].map(
        (key) => `${encode({ ...decoded, key })}.${mac}`,
      ),
      `${encode({ ...decoded, at: decoded.at - 1 })}.${mac}`,
    ];
    for (const one of forged) {
      expect(await list(`cursor=${encodeURIComponent(one)}`)).toMatchObject({
        status: 400,
        body: { code: 'bad_cursor' },
      });
    }
    expect(await t.call('GET', `${OWN}/rollouts?cursor=${cursor}`)).toMatchObject({ body: { code: 'bad_cursor' } });
  });
});
