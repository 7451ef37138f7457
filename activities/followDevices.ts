/** Follows devices back to the version before, and tells when they are. */
import { rolloutStream } from '../domain/events/streams.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { pollEvery } from './heartbeats.ts';
import { notify } from './notify.ts';
import { areBack, returnedNotice } from './rollbackPlan.ts';

const LOOK_MS = 30_000;

interface Returned {
  readonly kind: 'returned';
  readonly told: number;
  readonly outstanding: number;
}

/**
 * Returns when 99.5 % of the devices that were told the version no longer report it, and people were told so: here, since the next
 * load of the process has no time to count again. The caller gives it up after 72 h.
 */
export function followDevices(deps: ActivityDeps, { rolloutId }: { readonly rolloutId: number }): Promise<Returned> {
  return pollEvery(
    () => deps.followEveryMs ?? LOOK_MS,
    async () => {
      const { told, outstanding } = await deps.telemetry.devicesStillOn(rolloutId);
      if (!areBack({ told, outstanding })) return undefined;
      await tellReturned(deps, rolloutId, { told, outstanding });
      return { kind: 'returned' as const, told, outstanding };
    },
  );
}

async function tellReturned(deps: ActivityDeps, rolloutId: number, devices: Omit<Returned, 'kind'>): Promise<void> {
  const { log } = deps.commands;
  const { folded } = await foldStream(log, rolloutStream(rolloutId), 'rollout_not_found');
  const [fact] = await log.readPart(rolloutStream(rolloutId), { types: ['RolloutRolledBack'], limit: 1 });
  if (!fact) return; // nothing was rolled back, so nobody waits for devices
  const { version } = folded.context;
  await notify(deps, returnedNotice({ rolloutId, version, eventId: fact.id }, devices));
}
