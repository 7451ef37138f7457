/**
 * What the service runs, judged by what stands in the database: so one process sees that a part in another one stopped. Nothing
 * here makes the service unready, since stopping a rollout needs Postgres alone.
 */
import type { PointerTable } from '../projections/pointerTable.ts';
import type { ReadModels, ReadModelStatus } from '../projections/readModels.ts';
import type { Queryable } from '../store/queryable.ts';
import { relayCursors, sequencerLag, waitingSince } from '../store/log/progress.ts';
import type { PartState } from './context.ts';
import { STALE_MS } from './knownDevice.ts';

/** Seconds for which a fact may wait before it is said that nobody takes it. */
const PATIENCE_S = { sequencer: 5, follower: 15 };

const ok = (name: string): PartState => ({ name, state: 'ok' });
const degraded = (name: string, detail: string): PartState => ({ name, state: 'degraded', detail });

function followerPart(name: string, position: number, waits: ReadonlyMap<number, number>): PartState {
  const seconds = waits.get(position) ?? 0;
  if (seconds <= PATIENCE_S.follower) return ok(name);
  return degraded(name, `stands at ${position}; the fact after it has been there for ${Math.round(seconds)} s`);
}

function projectionPart(model: ReadModelStatus, waits: ReadonlyMap<number, number>): PartState {
  const name = `projection ${model.name}`;
  if (model.stopped) return degraded(name, `stands before ${model.stopped.at}: ${model.stopped.why}`);
  if (model.filling !== null) {
    const lists =
      model.position < 0 ? 'its lists answer 503 `starting`' : `its lists show the state at ${model.position}`;
    return {
      name,
      state: 'starting',
      detail: `is being filled, and is at ${model.filling}; until it is there, ${lists}`,
    };
  }
  if (!model.answers) {
    const missed = followerPart(name, model.position, waits);
    const detail = 'nobody has begun to fill it; its lists answer 503 `starting`';
    return missed.state === 'ok' ? { name, state: 'starting', detail } : missed;
  }
  const { count, first } = model.setAside;
  if (count === 0) return followerPart(name, model.position, waits);
  const named = first.map((one) => `${one.subject} since ${one.first} (${one.type}): ${one.why}`);
  const rest = count > first.length ? `; and ${count - first.length} more` : '';
  return degraded(name, `${count} set aside: ${named.join('; ')}${rest}`);
}

/** The sequencer, the relays, the read models and the pointers of this process. @throws the driver's error */
export async function partsInDatabase(
  on: Queryable,
  reads: Pick<ReadModels, 'status'>,
  pointers: Pick<PointerTable, 'ageMs'>,
): Promise<PartState[]> {
  const [lag, relays, models] = await Promise.all([sequencerLag(on), relayCursors(on), reads.status()]);
  const waits = await waitingSince(on, [...relays.values(), ...models.map((m) => m.position)]);
  const stale = Math.round(pointers.ageMs() / 1_000);
  return [
    lag > PATIENCE_S.sequencer
      ? degraded('sequencer', `a fact has waited for its place for ${Math.round(lag)} s; is a sequencer running?`)
      : ok('sequencer'),
    ...[...relays].map(([relay, position]) => followerPart(`relay ${relay}`, position, waits)),
    ...models.map((model) => projectionPart(model, waits)),
    pointers.ageMs() > STALE_MS
      ? degraded('pointers', `did not follow the log for ${Number.isFinite(stale) ? `${stale} s` : 'ever'}`)
      : ok('pointers'),
  ];
}
