/** Opens the connections that only stops use. They give up sooner than others, so that a stop is answered in time. */
import { createCommandDeps } from '../commands/createDeps.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import { createPool } from '../store/connect.ts';
import { createKeyStore } from '../store/keys/keyStore.ts';
import { createEventStore, type EventStoreOptions } from '../store/log/postgresEventStore.ts';
import type { StopDeps } from './lane.ts';

/** Pools connect when they are used first; the caller closes it. */
export function openStopLane(
  options: Pick<EventStoreOptions, 'connectionString' | 'logger'> & { readonly blobs: ArtifactStore },
): StopDeps & { close(): Promise<void> } {
  const { blobs, ...of } = options;
  const log = createEventStore({ ...of, waits: 'stop', connections: { read: 3, stop: 3 } });
  const pool = createPool({ connectionString: of.connectionString, max: 3, name: 'stop', waits: 'stop' });
  return {
    log,
    commands: createCommandDeps({ log, blobs, pool }),
    keys: createKeyStore(pool),
    async close() {
      await Promise.all([log.close(), pool.end()]);
    },
  };
}
