/** What every benchmark prints: where it ran, its numbers beside their reference, and whether its answers were right. */
import { cpus, totalmem } from 'node:os';

/** Hardware, versions and durability, in one line; a number without them says nothing. */
export function printConditions(more: Readonly<Record<string, string>>): void {
  const cores = cpus();
  const conditions = {
    cpu: `${cores.length} × ${cores[0]?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    ...more,
  };
  console.log(
    Object.entries(conditions)
      .map(([k, v]) => `${k}: ${v}`)
      .join(' | '),
  );
}

/** A wrong answer ends the benchmark: a fast wrong result is worth nothing. */
export function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`wrong answer: ${what}`);
}

/** Value at quantile `q` (0 to 1) of unsorted numbers. @throws Error for none */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  if (value === undefined) throw new Error('quantile of nothing');
  return value;
}

/** One line per result; `goal` is what the design asks for and fails nothing, since machines differ. */
export function printResult(scenario: string, result: string, goal: string, isMet: boolean): void {
  console.log(`${scenario.padEnd(38)} ${result.padEnd(66)} goal ${goal}: ${isMet ? 'met' : 'NOT MET'}`);
}
