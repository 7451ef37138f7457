/** What a report carries to the windows of its device; undefined where its rollout has none. */
import type { Attribution } from '../domain/rollout/arms.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { watchReport, type Watch } from '../domain/rollout/verdict/index.ts';
import { watchedIn, type WatchedDevice } from '../domain/rollout/watching.ts';
import type { ApiDeps } from './context.ts';

/** Canary is watched whole, so only control asks how many of it are active. */
export async function reportWatch(
  { canaryCounts }: Pick<ApiDeps, 'canaryCounts'>,
  pointer: Pointer,
  attribution: Attribution,
  device: WatchedDevice,
  now: Date,
): Promise<Watch | undefined> {
  const of = watchedIn(pointer, attribution, device, now);
  if (!of) return undefined;
  const count = of.place.arm === 'control' ? await canaryCounts(of.stage) : { told: 0, active: 0 };
  return watchReport(of.stage, of.place, count);
}
