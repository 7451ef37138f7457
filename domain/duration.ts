/** Pure. Durations as people write them in specs: `200ms`, `1.5s`, `10m`, `24h`, `7d`. */
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Milliseconds of `text`, a whole number; undefined if it is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = PATTERN.exec(text);
  return match ? Math.round(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]) : undefined;
}

/** Milliseconds of a duration that a schema has checked already. @throws RangeError otherwise (a bug) */
export function durationMs(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new RangeError(`not a duration: ${text}`);
  return ms;
}

/** The shortest exact text: 90000 → `90s`, 86400000 → `1d`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const)
    if (ms > 0 && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`;
  return `${ms}ms`;
}
