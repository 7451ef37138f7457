/** How many devices an organisation has, for answers that must not wait for a count: counting grows with the fleet. */
import type { OrgId } from '../domain/org.ts';

export interface FleetSize {
  /** What was counted last; 0 before the first count. Waits for nothing, and begins a count for the next who asks. */
  known(orgId: OrgId): number;
  /** Counted now, where that takes a second at most; else as {@link known}. Never throws. */
  now(orgId: OrgId): Promise<number>;
}

const WAIT_MS = 1_000;

/** @param count grows with the fleet; one runs at a time for an organisation */
export function createFleetSize(count: (orgId: OrgId) => Promise<number>): FleetSize {
  const counted = new Map<OrgId, number>();
  const counting = new Map<OrgId, Promise<void>>();
  const begin = (orgId: OrgId): Promise<void> => {
    const running = counting.get(orgId);
    if (running) return running;
    const begun = count(orgId)
      .then(
        (n) => void counted.set(orgId, n),
        () => undefined, // the last count stands
      )
      .finally(() => counting.delete(orgId));
    counting.set(orgId, begun);
    return begun;
  };
  return {
    known(orgId) {
      void begin(orgId);
      return counted.get(orgId) ?? 0;
    },
    async now(orgId) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([begin(orgId), new Promise((resolve) => (timer = setTimeout(resolve, WAIT_MS)))]);
      clearTimeout(timer);
      return counted.get(orgId) ?? 0;
    },
  };
}
