/** Follows devices back to the version before. */
import type { ActivityDeps } from './deps.ts';
import { lookEvery } from './heartbeats.ts';
import { areBack } from './rollbackPlan.ts';

const LOOK_MS = 30_000;

/** Returns when 99.5 % of the devices that were told the version no longer report it. The caller gives it up after 72 h. */
export function followDevices(
  deps: ActivityDeps,
  { rolloutId }: { readonly rolloutId: number },
): Promise<{ readonly kind: 'returned'; readonly told: number; readonly outstanding: number }> {
  return lookEvery(
    () => deps.followEveryMs ?? LOOK_MS,
    async () => {
      const { told, outstanding } = await deps.telemetry.devicesStillOn(rolloutId);
      return areBack({ told, outstanding }) ? { kind: 'returned' as const, told, outstanding } : undefined;
    },
  );
}
