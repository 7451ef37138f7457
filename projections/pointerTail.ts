/**
 * What the log says of pointers beyond the read model. So a rollback reaches devices although nobody fills the read model, or a
 * new build fills it from the beginning, which would tell devices what was true long ago.
 */
import type { ModelId } from '../domain/brands.ts';
import type { Kysely } from 'kysely';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { parseStream } from '../domain/events/streams.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { applyFact, pointerSubject } from '../domain/rollout/pointerFold.ts';
import { createMemory, type OwnMemory } from '../domain/rollout/pointerMemory.ts';
import { sequencedEventOf, UndecodableFact, type SequencedRow } from '../store/log/rows.ts';
import { selectLog, type LogDatabase } from '../store/log/tables.ts';

const PAGE = 500;

/** One fact as the log gives it, not decoded. */
export type TailRow = SequencedRow & { readonly log_index: number; readonly sequenced_at: Date };

export interface HeldPointer {
  /** Undefined for a model that is not registered. */
  readonly pointer: Pointer | undefined;
  /** Log index of the first fact that could not be applied; undefined: the pointer misses none. */
  readonly missesSince: number | undefined;
  /** What the fold of this model keeps beside the document. Owned by whoever holds the pointer. */
  readonly memory: OwnMemory;
}

/** Of a model of which no fact is known. */
export const unknownPointer = (): HeldPointer => ({
  pointer: undefined,
  missesSince: undefined,
  memory: createMemory(),
});

/** A model that is being read beside the tail: what the tail tells meanwhile is in what is held at last. Its owner ends it. */
export interface Reading {
  /** @param found holds every fact that was applied before the reading began, and maybe later ones */
  hold(modelId: ModelId, found: HeldPointer): void;
  end(): void;
}

/** Some models' pointers in memory, least recently asked first out, with the model of each of their rollouts. */
export interface Pointers {
  get(modelId: ModelId): HeldPointer | undefined;
  hold(modelId: ModelId, held: HeldPointer): void;
  begin(): Reading;
  /** Applies one fact to the model it is about, if that one is held; one that is in the pointer already changes nothing. */
  apply(row: TailRow): void;
  drop(modelId: ModelId): void;
  clear(): void;
}

/** The log lacks an index: whoever follows it stands before it. */
export class LogGap extends Error {
  override readonly name = 'LogGap';
  constructor(at: number) {
    super(`log index ${at} is missing; run \`edgeml audit verify\``);
  }
}

interface Entry extends HeldPointer {
  /** Those that name no model after RolloutCreated; ended ones among them. */
  readonly rollouts: Set<number>;
}

/** Empty. @param most models that are held at a time */
export function createPointers(most: number): Pointers {
  const entries = new Map<string, Entry>();
  const models = new Map<number, string>();
  /** Facts since the oldest reading began, and how many came before them. */
  let passed: TailRow[] = [];
  let before = 0;
  const readings = new Set<{ readonly from: number }>();

  function begin(): Reading {
    const reading = { from: before + passed.length };
    readings.add(reading);
    return {
      hold(modelId, found) {
        hold(modelId, found);
        for (const row of passed.slice(reading.from - before)) applyHeld(row);
      },
      end() {
        readings.delete(reading);
        const [oldest = { from: before + passed.length }] = readings;
        passed = passed.slice(oldest.from - before);
        before = oldest.from;
      },
    };
  }

  function hold(modelId: ModelId, { pointer, missesSince, memory }: HeldPointer): void {
    const rollouts = entries.get(modelId)?.rollouts ?? new Set<number>();
    for (const id of memory.rolloutIds()) {
      rollouts.add(id);
      models.set(id, modelId);
    }
    entries.set(modelId, { pointer, missesSince, memory, rollouts });
    if (entries.size > most) drop(entries.keys().next().value!);
  }

  function drop(modelId: ModelId): void {
    for (const id of entries.get(modelId)?.rollouts ?? []) models.delete(id);
    entries.delete(modelId);
  }

  /** False without decoding, for most facts of models that are not held. */
  function mayBeHeld({ stream_id, type }: TailRow): boolean {
    const parsed = parseStream(stream_id);
    if (parsed?.kind === 'model' || parsed?.kind === 'version') return entries.has(parsed.modelId);
    return parsed?.kind === 'rollout' && (type === 'RolloutCreated' || models.has(parsed.rolloutId));
  }

  function applyHeld(row: TailRow): void {
    if (!mayBeHeld(row)) return;
    const { event, data } = read(row);
    const subject = pointerSubject({ stream: row.stream_id, type: row.type, data }, (id) => models.get(id));
    const parsed = subject === undefined ? undefined : parseStream(subject);
    const held = parsed?.kind === 'model' ? entries.get(parsed.modelId) : undefined;
    if (parsed?.kind !== 'model' || !held || held.missesSince !== undefined) return;
    const { pointer, memory } = held;
    const after = event && applied(held, event);
    if (after) hold(parsed.modelId, { pointer: after.pointer, missesSince: undefined, memory });
    else hold(parsed.modelId, { pointer, missesSince: row.log_index, memory });
  }

  return {
    get(modelId) {
      const entry = entries.get(modelId);
      if (!entry) return undefined;
      entries.delete(modelId); // the last in the map is the last that was asked for
      entries.set(modelId, entry);
      return entry;
    },
    hold,
    begin,
    apply(row) {
      if (readings.size > 0) passed.push(row);
      applyHeld(row);
    },
    drop,
    clear() {
      entries.clear();
      models.clear();
    },
  };
}

/** `event` is absent where the fact cannot be read. */
function read(row: TailRow): { readonly event?: SequencedEvent; readonly data: unknown } {
  try {
    const event = sequencedEventOf(row);
    return { event, data: event.fact.data };
  } catch (error) {
    return { data: error instanceof UndecodableFact ? error.data : undefined };
  }
}

/** Undefined where the fold throws: a bug, by which the model is set aside and others are not. */
function applied(
  { pointer: before, memory }: HeldPointer,
  event: SequencedEvent,
): { readonly pointer: Pointer | undefined } | undefined {
  try {
    const { pointer, news } = applyFact(before, event, memory);
    memory.learn(news);
    return { pointer };
  } catch {
    return undefined;
  }
}

/**
 * Tells the facts after `from`, up to the head, in order and without a gap. Those of training runs, which are most, are told without
 * a row: they are no pointer's business.
 *
 * @throws LogGap where an index is missing: the pointers stand before it
 */
export async function followTail(
  db: Kysely<LogDatabase>,
  from: number,
  onFact: (logIndex: number, row: TailRow | undefined) => void,
): Promise<void> {
  for (let position = from; ;) {
    const rows = await selectLog(db, position, PAGE).execute();
    for (const row of rows) {
      if (row.log_index !== position + 1) throw new LogGap(position + 1);
      position = row.log_index;
      onFact(position, parseStream(row.stream_id)?.kind === 'training' ? undefined : row);
    }
    if (rows.length < PAGE) return;
  }
}
