/**
 * What the log says of pointers beyond the read model. So a rollback reaches devices although nobody fills the read model, or a
 * new build fills it from the beginning, which would tell devices what was true long ago.
 */
import type { Kysely } from 'kysely';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { parseStream } from '../domain/events/streams.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { applyFact, pointerModel, pointerSubject } from '../domain/rollout/pointerFold.ts';
import { createMemory, type OwnMemory } from '../domain/rollout/pointerMemory.ts';
import { sequencedEventOf, UndecodableFact, type PlacedRow } from '../store/log/rows.ts';
import { selectLog, type LogDatabase } from '../store/log/tables.ts';
import type { About } from './table.ts';

const PAGE = 500;

/** Pointers in memory, with the memory of their fold. */
export interface Pointers {
  readonly memory: OwnMemory;
  get(modelId: string): Pointer | undefined;
  all(): IterableIterator<Pointer>;
  set(pointer: Pointer): void;
  /** Applies one fact. @returns the pointer that it changed; undefined where it changed none */
  apply(event: SequencedEvent): Pointer | undefined;
  subjectOf(about: Omit<About, 'version'>): string | undefined;
  /** Subjects whose pointer misses a fact, with the log index of the first; their models are told to nobody. */
  readonly setAside: Map<string, number>;
}

/** The log lacks an index: whoever follows it stands before it. */
export class LogGap extends Error {
  override readonly name = 'LogGap';
}

/** Empty. */
export function createPointers(): Pointers {
  const table = new Map<string, Pointer>();
  const memory = createMemory();
  return {
    memory,
    setAside: new Map(),
    subjectOf: (about) => pointerSubject(about, (rolloutId) => memory.rollout(rolloutId)?.model_id),
    get: (modelId) => table.get(modelId),
    all: () => table.values(),
    set: (pointer) => void table.set(pointer.model_id, pointer),
    apply(event) {
      const modelId = pointerModel(event, memory);
      if (modelId === undefined) return undefined;
      const before = table.get(modelId);
      const { pointer, news } = applyFact(before, event, memory);
      memory.learn(news);
      if (!pointer || pointer === before) return undefined;
      table.set(modelId, pointer);
      return pointer;
    },
  };
}

function applyRow(
  pointers: Pointers,
  row: PlacedRow & { readonly log_index: number; readonly sequenced_at: Date },
): Pointer | undefined {
  const about = { stream: row.stream_id, type: row.type };
  try {
    const event = sequencedEventOf(row);
    const subject = pointers.subjectOf({ ...about, data: event.fact.data });
    return subject !== undefined && pointers.setAside.has(subject) ? undefined : pointers.apply(event);
  } catch (error) {
    const data = error instanceof UndecodableFact ? error.data : undefined;
    const subject = pointers.subjectOf({ ...about, data });
    if (subject !== undefined && !pointers.setAside.has(subject)) pointers.setAside.set(subject, row.log_index);
    return undefined;
  }
}

/**
 * Applies the facts after `from`, up to the head, in order and without a gap. `onFact` is told of each, with the pointer it
 * changed. Facts of training runs, which are most, are no pointer's business and are not even decoded. One that cannot be applied
 * sets its model aside, as the read model does.
 *
 * @throws LogGap where an index is missing: the pointers stand before it
 */
export async function applyTail(
  db: Kysely<LogDatabase>,
  pointers: Pointers,
  from: number,
  onFact: (logIndex: number, changed: Pointer | undefined) => void,
): Promise<void> {
  for (let position = from; ;) {
    const rows = await selectLog(db, position, PAGE).execute();
    for (const row of rows) {
      if (row.log_index !== position + 1) {
        throw new LogGap(`log index ${position + 1} is missing; run \`edgeml audit verify\``);
      }
      const isTraining = parseStream(row.stream_id)?.kind === 'training';
      const changed = isTraining ? undefined : applyRow(pointers, row);
      position = row.log_index;
      onFact(position, changed);
    }
    if (rows.length < PAGE) return;
  }
}
