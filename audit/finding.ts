/** What the checker finds, as data; and how a check is built. */
import type { AnyFact } from '../domain/events/streams.ts';
import type { RawEvent, RawLogRow } from '../store/log/rows.ts';

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

/** A row whose fact could be decoded. */
export interface DecodedRow {
  readonly row: PresentRow;
  readonly fact: AnyFact;
}

/** Findings of one step. After `LIMIT` only the number grows: a broken log must not fill the memory. */
export interface Findings {
  readonly list: readonly Finding[];
  readonly count: number;
  add(code: string, detail: string, place?: Place): void;
}
export type Place = Pick<Finding, 'index' | 'event' | 'stream'>;

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

/** Where a row stands, for a finding. */
export const placeOf = ({ log_index, event }: PresentRow): Place => ({
  index: log_index,
  event: event.event_id,
  stream: `${event.stream_id}@${event.stream_version}`,
});
