/** Times of the two APIs. */

/** Milliseconds, UTC. */
export const instant = (unixMs: number): string => new Date(unixMs).toISOString();
export const instantOrNull = (unixMs: number | null): string | null => (unixMs === null ? null : instant(unixMs));
/** Whole seconds, rounded down: parsers of some SDKs refuse a fraction. */
export const seconds = (time: number | string | Date): string => `${new Date(time).toISOString().slice(0, 19)}Z`;
