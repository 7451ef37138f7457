/** TCP ports on 127.0.0.1. */
import { randomInt } from 'node:crypto';
import { createServer, connect } from 'node:net';

/** Takes the port for a moment; 0 asks for any. Undefined: taken. */
function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = server.address();
      const got = typeof address === 'object' && address !== null ? address.port : undefined;
      server.close(() => resolve(got));
    });
  });
}

export async function isFree(port: number): Promise<boolean> {
  return (await tryListen(port)) === port;
}

/** Below the ports that systems give to outgoing connections, one of which would sit on ours while a server restarts. */
const RANGE = { from: 20_000, to: 32_000 } as const;

/** `preferred` if it is free and not among `taken`, else any free one. Another process may still take it before the caller does. */
export async function choosePort(preferred: number | undefined, taken: ReadonlySet<number>): Promise<number> {
  if (preferred !== undefined && !taken.has(preferred) && (await isFree(preferred))) return preferred;
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const port = randomInt(RANGE.from, RANGE.to);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`no free TCP port on 127.0.0.1 between ${RANGE.from} and ${RANGE.to}`);
}

/** Whether somebody accepts connections there. */
export function accepts(port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
