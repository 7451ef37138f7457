/**
 * One answer for all who ask while another is under way: the next run begins after each of them asked, so its answer is as fresh as their own
 * would be.
 */
export function shareNext<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  const run = (): Promise<T> => {
    next = undefined;
    const answer = ask();
    const ended = answer.then(
      () => undefined,
      () => undefined,
    );
    running = ended.then(() => {
      if (running === mine) running = undefined;
    });
    const mine = running;
    return answer;
  };
  return () => {
    if (!running) return run();
    return (next ??= running.then(run));
  };
}
