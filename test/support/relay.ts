/** A TCP relay that can vanish: while it swallows, bytes of both sides are read and dropped, and nothing is closed. */
import { connect, createServer, type Socket } from 'node:net';

export interface Relay {
  /** The same URL, through the relay. */
  url(of: string): string;
  /** From now on bytes vanish; connections are accepted, and nobody answers. */
  swallow(): void;
  /** The same once a client has sent `text`, which still passes: what was asked takes effect, and the answer is lost. */
  swallowAfter(text: string): void;
  /** Bytes pass again, on connections made before, too. What was swallowed is lost; who closed meanwhile is closed. */
  resume(): void;
  readonly isSwallowing: boolean;
  /** Connections that clients ever made. */
  readonly made: number;
  close(): Promise<void>;
}

/** @param target whose host and port are relayed to */
export async function openRelay(target: string): Promise<Relay> {
  const { hostname, port } = new URL(target);
  const pairs = new Set<readonly [Socket, Socket]>();
  let made = 0;
  let isSwallowing = false;
  let last: string | undefined;
  let sender: Socket | undefined;

  const pass = (from: Socket, to: Socket) => {
    from.on('data', (bytes) => {
      if (isSwallowing && from !== sender) return;
      to.write(bytes);
      if (isSwallowing || last === undefined || !bytes.includes(last)) return;
      isSwallowing = true;
      sender = from; // the rest of what it asks may come in another piece
    });
    from.on('error', () => undefined);
    // A vanished host neither hears that the other has gone nor says so itself.
    from.on('close', () => void (isSwallowing || to.destroy()));
  };
  const server = createServer((client) => {
    made += 1;
    const upstream = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port) });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const one of pair) one.on('close', () => void (client.closed && upstream.closed && pairs.delete(pair)));
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay has no port');
  const destroy = (pair: readonly [Socket, Socket]) => pair.forEach((socket) => socket.destroy());

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
      last = sender = undefined;
      for (const pair of pairs) if (pair.some((socket) => socket.destroyed)) destroy(pair);
    },
    get isSwallowing() {
      return isSwallowing;
    },
    get made() {
      return made;
    },
    async close() {
      pairs.forEach(destroy);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
