/** Pure. Durations as people write them in specs: `200ms`, `1.5s`, `10m`, `24h`, `7d`; none is longer than 365 days. */
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** The longest duration that a request may name, ms. Deadlines made from it stay dates, and timers can hold it. */
export const LONGEST_MS = 365 * UNITS.d;
/** The longest that a whole rollout or training run may be planned for: the sum of its durations, ms. */
export const LONGEST_PLAN_MS = 10 * LONGEST_MS;

function msOf(text: string): number | undefined {
  const match = PATTERN.exec(text);
  return match ? Math.round(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]) : undefined;
}

/** Milliseconds of `text`, a whole number; undefined if it is no duration, or a longer one than 365 days. */
export function parseDuration(text: string): number | undefined {
  const ms = msOf(text);
  return ms !== undefined && ms <= LONGEST_MS ? ms : undefined;
}

/**
 * Milliseconds of a duration that is stored. Facts from before the limit may name longer ones: they count as 365 days.
 *
 * @throws RangeError for a text that no schema lets through (a bug)
 */
export function durationMs(text: string): number {
  const ms = msOf(text);
  if (ms === undefined) throw new RangeError(`not a duration: ${text}`);
  return Math.min(ms, LONGEST_MS);
}

/** The shortest exact text: 90000 → `90s`, 86400000 → `1d`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const)
    if (ms > 0 && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`;
  return `${ms}ms`;
}
