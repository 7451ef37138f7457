/** Pure. A state × command table as data: `✓` appends, `=` is so already, a name is the guard that refuses first. */
import { expect } from 'vitest';
import type { Decision } from './decision.ts';

export type Cell = string;

/** The cell that a decision belongs to: the unmet guards in order, joined by a space. */
export function cellOf(decision: Decision<{ type: string; data: unknown }>): Cell {
  if (decision.kind === 'facts') return '✓';
  if (decision.kind === 'already') return '=';
  const unmet = decision.refusal.guards.filter((g) => !g.met);
  for (const guard of unmet) expect(guard.why, guard.name).not.toBe('');
  return unmet.map((g) => g.name).join(' ');
}

/**
 * The table that `decide` gives, row by command, column by state.
 *
 * @param states   the given of each column
 * @param commands the when of each row
 */
export function tableOf<S, C>(
  states: Readonly<Record<string, S>>,
  commands: Readonly<Record<string, C>>,
  decide: (state: S, command: C) => Decision<{ type: string; data: unknown }>,
): Record<string, Record<string, Cell>> {
  return Object.fromEntries(
    Object.entries(commands).map(([name, command]) => [
      name,
      Object.fromEntries(Object.entries(states).map(([at, state]) => [at, cellOf(decide(state, command))])),
    ]),
  );
}

/** A row as text: cells in the order of the columns, separated by `|`; an empty cell is refused by `state` alone. */
export function row(columns: readonly string[], text: string): Record<string, Cell> {
  const cells = text.split('|').map((c) => c.trim());
  if (cells.length !== columns.length) throw new Error(`${cells.length} cells for ${columns.length} states: ${text}`);
  return Object.fromEntries(columns.map((column, i) => [column, cells[i] === '' ? 'state' : cells[i]!]));
}
