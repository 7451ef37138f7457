/**
 * Pure. Lists of a context that a long stream makes long. A context is never changed, so each fact would copy them, and a fold would cost
 * the square of its stream. A fold shows nobody what lies between its facts: the lists that it made itself it changes in place.
 */

/** Lists that one fold made and nobody else holds, each with its members where it has no repeats. Dropped when the fold ends. */
export type OwnLists = WeakMap<readonly unknown[], Set<unknown>>;

/** The list as one that may be changed: itself where the fold made it, else a copy. */
function ownList<T>(list: readonly T[], own: OwnLists | undefined): T[] {
  if (own?.has(list)) return list as T[]; // safe: only `ownList` puts lists there, and it made them
  const copy = [...list];
  own?.set(copy, new Set(copy));
  return copy;
}

export function appended<T>(list: readonly T[], item: T, own?: OwnLists): T[] {
  const grown = ownList(list, own);
  grown.push(item);
  return grown;
}

/** @throws Error where the list is empty (a bug) */
export function withLast<T>(list: readonly T[], change: (last: T) => T, own?: OwnLists): T[] {
  const changed = ownList(list, own);
  if (changed.length === 0) throw new Error('an empty list has no last item');
  changed.push(change(changed.pop()!));
  return changed;
}

/** @param list without repeats, changed by this function only */
export function movedToEnd<T>(list: readonly T[], item: T, own?: OwnLists): T[] {
  const moved = ownList(list, own);
  const members = own?.get(moved);
  if (members ? members.has(item) : moved.includes(item)) moved.splice(moved.lastIndexOf(item), 1);
  members?.add(item);
  moved.push(item);
  return moved;
}
