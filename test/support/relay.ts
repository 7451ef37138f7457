/** A TCP relay that can vanish: while it swallows, bytes of both sides are read and dropped, and nothing is closed. */
import { connect, createServer, type Socket } from 'node:net';

export interface Relay {
  /** The same URL, through the relay. */
  url(of: string): string;
  /** From now on bytes vanish; connections are accepted, and nobody answers. */
  swallow(): void;
  /** The same once a client has sent `text`, which still passes: what was asked takes effect, and the answer is lost. */
  swallowAfter(text: string): void;
  /** Bytes pass again, on connections made before, too. What was swallowed is lost. */
  resume(): void;
  readonly isSwallowing: boolean;
  close(): Promise<void>;
}

/** @param target whose host and port are relayed to */
export async function openRelay(target: string): Promise<Relay> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  let last: string | undefined;

  const pass = (from: Socket, to: Socket) => {
    from.on('data', (bytes) => {
      if (isSwallowing) return;
      to.write(bytes);
      if (last !== undefined && bytes.includes(last)) isSwallowing = true;
    });
    from.on('error', () => undefined);
    // A vanished host neither hears that the other has gone nor says so itself.
    from.on('close', () => void (isSwallowing || to.destroy()));
    sockets.add(from.once('close', () => sockets.delete(from)));
  };
  const server = createServer((client) => {
    const upstream = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port) });
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay has no port');

  return {
    url(of) {
      const through = new URL(of);
      through.hostname = '127.0.0.1';
      through.port = String(address.port);
      return through.href;
    },
    swallow: () => void (isSwallowing = true),
    swallowAfter: (text) => void (last = text),
    resume() {
      isSwallowing = false;
      last = undefined;
    },
    get isSwallowing() {
      return isSwallowing;
    },
    async close() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
