/** Puts the big log of `scaleFacts.ts` into a database, through the product's own append. */
import { randomUUID } from 'node:crypto';
import { currentSchemaVersion } from '../../domain/events/codec.ts';
import type { OrgId } from '../../domain/org.ts';
import { machineFor } from '../../machines/registry.ts';
import type { Pool } from '../../store/connect.ts';
import type { EventStore } from '../../store/log/eventStore.ts';
import { histories, type Size, type Written } from './scaleFacts.ts';

const LANES = 8;

async function append(store: EventStore, facts: readonly Written[]): Promise<void> {
  const commandId = randomUUID();
  const result = await store.append({
    commandId,
    commandHash: null,
    actor: { kind: 'system', id: 'scale' },
    correlationId: null,
    causationId: null,
    expected: new Map(facts.map(({ stream }) => [stream, 'any'])),
    events: facts.map(({ stream, fact }) => ({
      id: randomUUID(),
      stream,
      fact,
      machine: machineFor(stream).name,
      schemaVersion: currentSchemaVersion(stream, fact.type),
    })),
  });
  if (result.outcome !== 'appended') throw new Error(`an append of ${facts.length} facts ended as ${result.outcome}`);
}

/** @returns ids of the rollouts, in the order of their deep models */
export async function load(
  { store, pool }: { readonly store: EventStore; readonly pool: Pool },
  orgId: OrgId,
  size: Size,
  onAppend: (facts: number) => void = () => undefined,
): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>(
    `SELECT nextval('store.rollout_ids') AS id FROM generate_series(1, $1::int)`,
    [size.rollouts],
  );
  const rolloutIds = rows.map((row) => row.id);
  const all = histories(orgId, size, rolloutIds)[Symbol.iterator]();
  const lane = async () => {
    for (let next = all.next(); !next.done; next = all.next()) {
      for (const facts of next.value) {
        await append(store, facts);
        onAppend(facts.length);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return rolloutIds;
}
