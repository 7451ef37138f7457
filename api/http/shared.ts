/** One answer for many who ask at once: made at most once a second, by one computation at a time. */

const FRESH_MS = 1_000;

/** Who scrapes gives up after some seconds; a part that is later than this is told as it was last. */
export const PROBE_MS = 2_000;

/**
 * Whoever asks while an answer is being made gets that one; for a second after it was made it is given again. A failure is not
 * kept. So what everybody may ask costs the same, however many ask.
 *
 * @param make its own deadline is its own business: those who ask wait for it
 */
export function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let made: { readonly answer: T; readonly at: number } | undefined;
  let making: Promise<T> | undefined;
  return () => {
    if (made && performance.now() - made.at < FRESH_MS) return Promise.resolve(made.answer);
    making ??= make()
      .then((answer) => {
        made = { answer, at: performance.now() };
        return answer;
      })
      .finally(() => (making = undefined));
    return making;
  };
}
