/** Many things that wait on another system, a few at a time. */

/**
 * Visits every item, in order, at most `width` at once. Ends early where a visit answers false or throws: none is begun after it,
 * those under way are waited for.
 *
 * @returns whether every visit answered true
 * @throws what the first visit threw
 */
export async function together<T>(
  items: readonly T[],
  width: number,
  visit: (item: T) => Promise<boolean>,
): Promise<boolean> {
  const rest = items.values();
  let goesOn = true;
  let fault: { readonly error: unknown } | undefined;
  async function work(): Promise<void> {
    for (const item of rest) {
      if (!goesOn) return;
      try {
        if (!(await visit(item))) goesOn = false;
      } catch (error) {
        fault ??= { error };
        goesOn = false;
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work));
  if (fault) throw fault.error;
  return goesOn;
}
