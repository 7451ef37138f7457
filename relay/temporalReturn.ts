/** Notices that Temporal came back, or came back as another, so that what it lost is mended at once. */
import { pause } from '../store/pause.ts';
import type { TemporalCalls } from './temporalCalls.ts';

const LOOK_MS = 1_000;

/**
 * Asks each second, until `signal` aborts, and calls `onReturn` when Temporal answers after it did not, or when its namespace is
 * another one than before: so a database that was replaced between two looks is noticed too. Where it may not ask, it never
 * calls, and the reconciler's own clock does the same later. Never throws.
 */
export async function watchReturn(
  calls: Pick<TemporalCalls, 'namespaceId'>,
  signal: AbortSignal,
  onReturn: () => void,
): Promise<void> {
  let known = await calls.namespaceId();
  while (!signal.aborted) {
    await pause(LOOK_MS, signal);
    if (signal.aborted) return;
    const found = await calls.namespaceId();
    if (found !== undefined && found !== known) onReturn();
    known = found;
  }
}
