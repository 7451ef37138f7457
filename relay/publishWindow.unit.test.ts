/** Many publishes on their way: told in order, never more than allowed, and the first failure is the answer. */
import { describe, expect, it } from 'vitest';
import { createPublishWindow } from './publishWindow.ts';

/** A publish whose answer the test gives. */
function publish() {
  let answer!: (seq: number) => void;
  let fail!: (error: Error) => void;
  const promise = new Promise<{ seq: number }>((resolve, reject) => {
    answer = (seq) => resolve({ seq });
    fail = reject;
  });
  return { promise, answer, fail };
}
const sent = (sequence: number) => ({ sequence, logIndex: sequence + 100 });

describe('the window of publishes', () => {
  it('tells them in order, whatever the order of their answers', async () => {
    const told: number[] = [];
    const window = createPublishWindow(10, (one) => told.push(one.logIndex));
    const all = [1, 2, 3].map((sequence) => ({ sequence, ...publish() }));
    for (const one of all) await window.add(one.promise, sent(one.sequence));
    all[2]!.answer(3);
    all[1]!.answer(2);
    await Promise.resolve();
    expect(told).toEqual([]);
    all[0]!.answer(1);
    await window.drain();
    expect(told).toEqual([101, 102, 103]);
  });

  it('lets no more than the most be on their way', async () => {
    const window = createPublishWindow(2, () => undefined);
    const [a, b, c] = [publish(), publish(), publish()] as const;
    await window.add(a.promise, sent(1));
    let isIn = false;
    const second = window.add(b.promise, sent(2))!.then(() => (isIn = true));
    await Promise.resolve();
    expect(isIn).toBe(false);
    a.answer(1);
    await second;
    c.answer(3);
    b.answer(2);
    await window.add(c.promise, sent(3));
    await window.drain();
  });

  it('answers the first failure, also where a later one came earlier, and tells nothing after it', async () => {
    const told: number[] = [];
    const window = createPublishWindow(10, (one) => told.push(one.sequence));
    const [a, b, c] = [publish(), publish(), publish()] as const;
    for (const [i, one] of [a, b, c].entries()) await window.add(one.promise, sent(i + 1));
    c.fail(new Error('refused since the second is missing'));
    a.answer(1);
    b.fail(new Error('lost'));
    await expect(window.drain()).rejects.toThrow('lost');
    expect(told).toEqual([1]);
  });

  it('takes a sequence that is not the expected one for a failure', async () => {
    const window = createPublishWindow(10, () => undefined);
    const one = publish();
    await window.add(one.promise, sent(5));
    one.answer(6);
    await expect(window.drain()).rejects.toThrow('sequence 6, expected 5');
  });
});
