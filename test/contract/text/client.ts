/** Sends requests as they are, over connections that stay open: no client library mends a URL on its way. */
import { Agent, request } from 'node:http';

export interface Sent {
  readonly method: string;
  /** As it goes into the first line. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
}

export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface Client {
  send(sent: Sent): Promise<Got>;
  close(): void;
}

export function createClient(url: string, connections: number): Client {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return {
    send: ({ method, target, headers, body }) =>
      new Promise((resolve, reject) => {
        const length = body === undefined ? {} : { 'content-length': String(body.length) };
        const options = { agent, hostname, port, method, path: target, headers: { ...headers, ...length } };
        const call = request(options, (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.once('error', reject);
          answer.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text });
          });
        });
        call.once('error', reject);
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}
