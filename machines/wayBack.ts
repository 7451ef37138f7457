/** Pure. Which version may take the place of one that leaves. What is in force decides; history only where nothing else is. */
import type { ModelContext } from './model.ts';
import { isUsable, type VersionState } from './modelVersion.ts';

/**
 * Versions that may take the place of `leaving`, the first choice first; none: devices are told nothing.
 *
 * A live rollout goes back to what is stable at this moment, whatever was stable before. Only where the stable version itself
 * leaves (a completed rollout is withdrawn), history is asked: what was stable most recently comes first.
 */
export function versionsToReturnTo(
  { stable, stableHistory }: ModelContext,
  leaving: string,
  isCompleted: boolean,
): string[] {
  if (!isCompleted && stable !== leaving) return stable === null ? [] : [stable];
  return stableHistory.filter((v) => v !== leaving).toReversed();
}

/** Whether it may come back without a person who names it: what is in force stays, what was aborted does not return. */
export const mayReturn = ({ state, context }: VersionState, isInForce: boolean) =>
  isUsable(state) && (isInForce || !context.isAborted);

/**
 * Why a person may not send devices to `wanted`; undefined where it may. An aborted version may be named: an abort puts no blame
 * on it.
 */
export function whyNotTo(
  wanted: VersionState,
  name: string,
  { stableHistory }: ModelContext,
  leaving: string,
): string | undefined {
  if (name === leaving) return `${name} is the version that leaves`;
  if (!stableHistory.includes(name)) return `${name} never was the stable version`;
  return isUsable(wanted.state) ? undefined : `${name} was rolled back, and never returns`;
}
