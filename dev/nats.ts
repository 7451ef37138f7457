/** nats-server with JetStream, on 127.0.0.1. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Binary } from './binaries.ts';
import { accepts } from './ports.ts';
import type { ServiceSpec } from './supervise.ts';

export interface NatsOptions {
  readonly home: string;
  readonly binary: Binary;
  readonly ports: () => { readonly client: number; readonly monitor: number };
}

/** `/healthz` is 200 once JetStream has recovered what it stores. */
export async function isHealthy(monitorPort: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${monitorPort}/healthz`, { signal: AbortSignal.timeout(2_000) });
  return answer.ok;
}

export function natsSpec({ home, binary, ports }: NatsOptions): ServiceSpec {
  return {
    name: 'nats',
    log: join(home, 'logs', 'nats.log'),
    program: () => {
      const store = join(home, 'nats');
      mkdirSync(store, { recursive: true });
      const { client, monitor } = ports();
      const where = ['--addr', '127.0.0.1', '--port', String(client), '--http_port', String(monitor)];
      return { file: binary.file, args: [...where, '--jetstream', '--store_dir', store] };
    },
    isReady: async () => (await accepts(ports().client)) && (await isHealthy(ports().monitor)),
  };
}
