/** What the checker finds, as data; and how a check is built. */
import type { AnyFact } from '../domain/events/streams.ts';
import type { EventRow, RawEvent, RawLogRow } from '../store/log/rows.ts';

/** In the order in which they are reported. */
export const STEPS = [
  'anchor',
  'coverage',
  'bytes',
  'tree',
  'stream',
  'decode',
  'divergence',
  'across',
  'verdict',
  'read_model',
] as const;
export type StepName = (typeof STEPS)[number];

export interface Finding {
  readonly step: StepName;
  /** Stable name of what is wrong: `leaf_mismatch`, `index_gap`, … */
  readonly code: string;
  /** Log index of the place; absent where the place has none. */
  readonly index?: number;
  /** Event id. */
  readonly event?: string;
  /** `stream@version`, or the stream. */
  readonly stream?: string;
  readonly detail: string;
}

/** A row of the log whose event is there. */
export type PresentRow = RawLogRow & { readonly event: RawEvent };

/** What the checks of a fact's meaning read of its row. */
export interface FactRow {
  readonly log_index: number;
  readonly event: Pick<
    EventRow,
    'event_id' | 'stream_id' | 'stream_version' | 'type' | 'schema_version' | 'machine' | 'recorded_at' | 'data'
  >;
}

/** A row whose fact could be decoded. */
export interface Decoded<Row extends FactRow = FactRow> {
  readonly row: Row;
  readonly fact: AnyFact;
}
export type DecodedRow = Decoded<PresentRow>;

/** Findings of one step. After `LIMIT` only the number grows: a broken log must not fill the memory. */
export interface Findings {
  readonly list: readonly Finding[];
  readonly count: number;
  add(code: string, detail: string, place?: FindingSubject): void;
}
export type FindingSubject = Pick<Finding, 'index' | 'event' | 'stream'>;

const LIMIT = 1_000;

export function createFindings(step: StepName): Findings {
  const list: Finding[] = [];
  let count = 0;
  return {
    list,
    get count() {
      return count;
    },
    add(code, detail, place = {}) {
      count += 1;
      if (list.length < LIMIT) list.push({ step, code, ...place, detail });
    },
  };
}

/** The same where they are not found in log order: `list` has them in that order, and the first of it are kept. */
export function createSortedFindings(step: StepName): Findings & { addAll(from: Findings): void } {
  let kept: Finding[] = [];
  let count = 0;
  const cut = () => (kept = inLogOrder(kept));
  const keep = (more: readonly Finding[]) => {
    for (const one of more) kept.push(one);
    if (kept.length > 2 * LIMIT) cut();
  };
  return {
    get list() {
      return cut();
    },
    get count() {
      return count;
    },
    add(code, detail, place = {}) {
      count += 1;
      keep([{ step, code, ...place, detail }]);
    },
    addAll(from) {
      count += from.count;
      keep(from.list);
    },
  };
}

const inLogOrder = (list: readonly Finding[]) =>
  list.toSorted((a, b) => (a.index ?? Infinity) - (b.index ?? Infinity)).slice(0, LIMIT);

/** Two checks of one step; at the same place, what `first` found comes first. */
export const bothFindings = (first: Findings, second: Findings): Pick<Findings, 'list' | 'count'> => ({
  list: inLogOrder([...first.list, ...second.list]),
  count: first.count + second.count,
});

/** Where a row stands, for a finding. */
export const subjectOfRow = ({ log_index, event }: FactRow): FindingSubject => ({
  index: log_index,
  event: event.event_id,
  stream: `${event.stream_id}@${event.stream_version}`,
});
