/** A body as it comes over a real connection: whole, broken off, and from senders that hold it up. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { incoming, type Pace } from './incoming.ts';

const HEAD = 'PUT / HTTP/1.1\r\nhost: x\r\n';
const PACE: Pace = { ms: 1_000, bytes: 100 };

/** What reading gave: bytes, or the code of the fault. */
async function receive(
  send: (write: (text: string) => void, end: () => void) => Promise<void> | void,
  work: (request: IncomingMessage) => Promise<unknown>,
): Promise<unknown> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  const asked = once(server, 'request') as Promise<[IncomingMessage]>;
  void send(
    (text) => void socket.write(text),
    () => socket.destroy(),
  );
  try {
    const [request] = await asked;
    return await work(request).catch((error: unknown) => (error as { code?: string }).code ?? error);
  } finally {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  }
}

async function read(request: IncomingMessage, length: number | null, busyMs = 0, pace = PACE): Promise<number> {
  let bytes = 0;
  for await (const chunk of incoming(request, length, pace)) {
    bytes += chunk.length;
    if (busyMs > 0) await delay(busyMs);
  }
  return bytes;
}

describe('a body as it comes', () => {
  it('is read whole, announced or chunked, also where it is empty', async () => {
    const announced = (write: (text: string) => void) =>
      write(`${HEAD}content-length: 300000\r\n\r\n${'x'.repeat(300_000)}`);
    expect(await receive(announced, (r) => read(r, 300_000))).toBe(300_000);
    const chunked = (write: (text: string) => void) =>
      write(`${HEAD}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`);
    expect(await receive(chunked, (r) => read(r, null))).toBe(7);
    expect(
      await receive(
        (write) => write(`${HEAD}content-length: 0\r\n\r\n`),
        (r) => read(r, 0),
      ),
    ).toBe(0);
  });

  it('that breaks off is incomplete', async () => {
    const half = async (write: (text: string) => void, end: () => void) => {
      write(`${HEAD}content-length: 500\r\n\r\nhalf`);
      await delay(20);
      end();
    };
    expect(await receive(half, (r) => read(r, 500))).toBe('body_incomplete');
  });

  it('is given up where it stops, and where it drips', async () => {
    const stops = (write: (text: string) => void) => write(`${HEAD}content-length: 500\r\n\r\nhalf`);
    expect(await receive(stops, (r) => read(r, 500))).toBe('request_timeout');
    const drips = async (write: (text: string) => void) => {
      write(`${HEAD}content-length: 500\r\n\r\n`);
      for (let n = 0; n < 500; n += 1) {
        write('x');
        await delay(20);
      }
    };
    expect(await receive(drips, (r) => read(r, 500))).toBe('request_timeout');
  });

  it('may take long where it keeps the pace, and where we are the slow ones', async () => {
    const steady = async (write: (text: string) => void) => {
      write(`${HEAD}content-length: 2000\r\n\r\n`);
      for (let n = 0; n < 20; n += 1) {
        write('x'.repeat(100));
        await delay(100);
      }
    };
    expect(await receive(steady, (r) => read(r, 2_000))).toBe(2_000);
    const quick = (write: (text: string) => void) =>
      write(`${HEAD}content-length: 300000\r\n\r\n${'x'.repeat(300_000)}`);
    expect(await receive(quick, (r) => read(r, 300_000, 350, { ms: 300, bytes: 200_000 }))).toBe(300_000);
  });

  it('goes on with the next reader where the first one stopped', async () => {
    const send = (write: (text: string) => void) =>
      write(`${HEAD}content-length: 300000\r\n\r\n${'x'.repeat(300_000)}`);
    const both = async (request: IncomingMessage) => {
      let first = 0;
      for await (const chunk of incoming(request, 300_000, PACE)) {
        first = chunk.length;
        break;
      }
      return first + (await read(request, null));
    };
    expect(await receive(send, both)).toBe(300_000);
  });
});
