/** Numbers for a test that draws more than a property can: equal seeds give equal runs. */

/** Draws from [0, 1). @source Mulberry32, Tommy Ettinger 2017 (public domain) */
export function drawsFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
