/** Pure. Reads members of an unknown JSON value and collects what is wrong with them, each with its pointer (RFC 6901). */
import { formatDuration, parseDuration } from '../duration.ts';
import { stepInto } from '../jsonPointer.ts';

export interface Problem {
  readonly pointer: string;
  readonly detail: string;
}

export interface Reader {
  readonly problems: readonly Problem[];
  problem(pointer: string, detail: string): void;
  /** The members of an object; a member that is not in `known` is a problem. Undefined where it is no object. */
  object(value: unknown, pointer: string, known: readonly string[]): Readonly<Record<string, unknown>> | undefined;
  list(value: unknown, pointer: string, max: number, min?: number): readonly unknown[] | undefined;
  /** The text of a duration between two bounds in milliseconds; the fallback where it is absent or wrong. */
  duration(value: unknown, pointer: string, fallback: string, minMs: number, maxMs: number): string;
  /** One of the words; without a fallback it is required. */
  oneOf<T extends string>(value: unknown, pointer: string, words: readonly [T, ...T[]], fallback?: T): T;
  /** A whole number from 1 to 1,000,000,000. */
  count(value: unknown, pointer: string, fallback: number): number;
  flag(value: unknown, pointer: string, fallback: boolean): boolean;
}

/** Devices or predictions: no fleet has more, and twenty times as many is still an exact number. */
const MOST = 1_000_000_000;

const isAbsent = (value: unknown) => value === undefined || value === null;

/** A reader that starts without problems. After a problem a reading method gives something of its type, to find the next one. */
export function createReader(): Reader {
  const problems: Problem[] = [];
  const problem = (pointer: string, detail: string) => void problems.push({ pointer, detail });
  return {
    problems,
    problem,
    object(value, pointer, known) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        problem(pointer, 'must be an object');
        return undefined;
      }
      for (const name of Object.keys(value)) {
        if (known.includes(name)) continue;
        problem(stepInto(pointer, name), `unknown member; known are ${known.join(', ')}`);
      }
      // Safe: any object that is no array has members by name, of unknown type.
      return value as Readonly<Record<string, unknown>>;
    },
    list(value, pointer, max, min = 1) {
      if (Array.isArray(value) && value.length >= min && value.length <= max) return value;
      problem(pointer, `must be a list of ${min} to ${max} items`);
      return undefined;
    },
    duration(value, pointer, fallback, minMs, maxMs) {
      if (isAbsent(value)) return fallback;
      if (typeof value === 'string') {
        const ms = parseDuration(value);
        if (ms !== undefined && ms >= minMs && ms <= maxMs) return value;
      }
      const bounds = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
      problem(pointer, `must be a duration ${bounds}, such as "90s" or "24h", not ${JSON.stringify(value)}`);
      return fallback;
    },
    oneOf(value, pointer, words, fallback) {
      if (isAbsent(value) && fallback !== undefined) return fallback;
      const found = words.find((word) => word === value);
      if (found !== undefined) return found;
      problem(pointer, `must be one of ${words.join(', ')}`);
      return fallback ?? words[0];
    },
    count(value, pointer, fallback) {
      if (isAbsent(value)) return fallback;
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= MOST) return value;
      problem(pointer, `must be a whole number from 1 to ${MOST}`);
      return fallback;
    },
    flag(value, pointer, fallback) {
      if (isAbsent(value)) return fallback;
      if (typeof value === 'boolean') return value;
      problem(pointer, 'must be true or false');
      return fallback;
    },
  };
}
