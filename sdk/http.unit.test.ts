/** How long an exchange may take, against a real server that is slow in each of the ways a server can be. */
import { getEventListeners } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Audit } from './audit.ts';
import { Timeout, Unreachable } from './errors.ts';
import { Http } from './http.ts';

const SILENCE_MS = 250;
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

async function client(handler: Handler, attempts = 1): Promise<Http> {
  server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  return new Http({ baseUrl: `http://127.0.0.1:${port}`, apiKey: 'k', timeoutMs: SILENCE_MS, attempts });
}

/** `total` bytes over more than three times the silence that is allowed. */
async function trickle(response: ServerResponse, total: Buffer): Promise<void> {
  const pieces = 8;
  const size = Math.ceil(total.length / pieces);
  for (let at = 0; at < total.length; at += size) {
    response.write(total.subarray(at, at + size));
    await delay((3.2 * SILENCE_MS) / pieces);
  }
  response.end();
}

describe('the time limit of an exchange', () => {
  it('is one of silence: a body that keeps coming is read whole, however long it takes', async () => {
    const body = Buffer.alloc(40_000, 7);
    const http = await client((_, response) => trickle(response, body));
    expect(Buffer.from((await http.send('GET', '/long')).bytes).equals(body)).toBe(true);
  });

  it('lets a verify run while it says how far it is', async () => {
    const result = { passed: true, findings: [] };
    const lines = Array.from({ length: 20 }, (_, done) => JSON.stringify({ step: 'events', done, total: 20 }));
    const http = await client((_, r) =>
      trickle(r, Buffer.from(`${lines.join('\n')}\n${JSON.stringify({ result })}\n`)),
    );
    expect(await new Audit(http).verify()).toEqual(result);
  });

  it('ends a verify that has begun and falls silent, and tells what stopped one that did not', async () => {
    const progress = JSON.stringify({ progress: { phase: 'log', done: 1, total: 9 } });
    const silent = await client((_, r) => void r.write(`${progress}\n`));
    await expect(new Audit(silent).verify()).rejects.toMatchObject({ name: 'Timeout', code: 'timeout' });
    server?.closeAllConnections();
    server?.close();
    const problem = { code: 'server_error', detail: 'The process of the audit ended with SIGSEGV.', status: 500 };
    const crashed = await client((_, r) => r.end(`${progress}\n${JSON.stringify({ error: problem })}\n`));
    await expect(new Audit(crashed).verify()).rejects.toMatchObject({ code: 'server_error', message: problem.detail });
  });

  it('passes where no headers come', async () => {
    const http = await client(() => undefined);
    await expect(http.send('GET', '/never')).rejects.toMatchObject({ name: 'Timeout', code: 'timeout' });
  });

  it('passes where the body stops in the middle', async () => {
    const http = await client((_, response) => response.writeHead(200, { 'content-length': 100 }).write('half'));
    await expect(http.send('GET', '/half')).rejects.toBeInstanceOf(Timeout);
  });

  it('does not count against a body that is still being sent', async () => {
    const sent = new Uint8Array(6 * 1024 * 1024);
    const http = await client(async (request, response) => {
      let length = 0;
      await delay(2 * SILENCE_MS); // nobody reads: the socket is full
      for await (const chunk of request) {
        length += (chunk as Buffer).length;
        if (length === (chunk as Buffer).length) await delay(SILENCE_MS);
      }
      response.end(JSON.stringify({ length }));
    });
    expect(await http.json('PUT', '/slow', { raw: sent })).toEqual({ length: sent.length });
  });

  it('tells a broken connection from silence', async () => {
    const http = await client((request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setImmediate(() => request.socket.destroy());
    });
    await expect(http.send('GET', '/broken')).rejects.toBeInstanceOf(Unreachable);
  });

  it('is tried again like any other fault of the way', async () => {
    let asked = 0;
    const http = await client((_, response) => (asked++ === 0 ? undefined : response.end('{"ok":true}')), 2);
    expect(await http.json('GET', '/second')).toEqual({ ok: true });
  });
});

describe('the signal of a caller', () => {
  it('ends an exchange at once, and no further attempt is made', async () => {
    let asked = 0;
    const stop = new AbortController();
    const http = await client(() => {
      asked += 1;
      stop.abort();
    }, 5);
    await expect(http.send('GET', '/', { signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' });
    await expect(http.send('GET', '/', { signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' });
    expect(asked).toBe(1);
  });

  it('keeps nothing of the exchanges that are over', async () => {
    const { signal } = new AbortController();
    const http = await client((_, response) => response.end('{}'));
    for (let i = 0; i < 20; i += 1) await http.json('GET', '/', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    // What AbortSignal.any keeps of its sources, Node 20 never lets go.
    const kept = Object.getOwnPropertySymbols(signal).filter((s) => /dependantSignals/.test(String(s)));
    expect(kept).toEqual([]);
  });
});

describe('a window to return in', () => {
  it('is followed for as long as the server has no place, and is no failed attempt', async () => {
    let refused = 0;
    const http = await client((_, response) => {
      if (refused === 5) return response.end('{"ok":true}');
      refused += 1;
      response.writeHead(503, { 'edgeml-retry': 'min=1,max=3', 'retry-after': '600' });
      return response.end(JSON.stringify({ code: 'unavailable', detail: 'no place', status: 503 }));
    });
    expect(await http.json('PUT', '/update')).toEqual({ ok: true });
    expect(refused).toBe(5);
  });

  it('does not hold a call for ever', async () => {
    let asked = 0;
    const http = await client((_, response) => {
      asked += 1;
      response.writeHead(503, { 'edgeml-retry': 'min=0,max=1' });
      response.end(JSON.stringify({ code: 'unavailable', detail: 'no place', status: 503 }));
    });
    await expect(http.json('PUT', '/update')).rejects.toMatchObject({ code: 'unavailable' });
    expect(asked).toBe(61);
  });
});
