/** Composes what use cases need from the stores of one process. */
import { randomBytes } from 'node:crypto';
import { uuidV7 } from '../domain/hash/uuid.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import type { Pool } from '../store/connect.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import { createBlobGrants } from '../store/artifacts/blobGrants.ts';
import { createModelOwners } from '../store/orgs/modelOwners.ts';
import { queryableOf } from '../store/queryable.ts';
import { createRolloutFinder } from '../store/rollouts/rolloutFinder.ts';
import { createRoundStore } from '../store/rounds/postgresRoundStore.ts';
import { createFleetReader } from '../store/telemetry/fleetReader.ts';
import { createTelemetryReader } from '../store/telemetry/telemetryReader.ts';
import type { CommandDeps } from './context.ts';

/** @param parts.pool for rows outside an append's transaction; the caller ends it */
export function createCommandDeps(parts: {
  readonly log: EventStore;
  readonly blobs: ArtifactStore;
  readonly pool: Pool;
}): CommandDeps {
  const on = queryableOf(parts.pool);
  return {
    log: parts.log,
    blobs: parts.blobs,
    grants: createBlobGrants(on),
    owners: createModelOwners(on),
    rounds: createRoundStore(on),
    rollouts: createRolloutFinder(on),
    telemetry: createTelemetryReader(on),
    fleet: createFleetReader(on),
    newId: () => uuidV7(Date.now(), randomBytes(10)),
    randomHex: () => randomBytes(32).toString('hex'),
  };
}
