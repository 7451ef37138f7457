/** Publishes that are on their way: many at once, acknowledged in the order of sending. */
export interface PublishWindow {
  /**
   * Hands a publish over to be waited for.
   *
   * @returns undefined while there is room. Else it is to be awaited: it resolves once half of the window is free, so that the next
   *   publishes are sent in one piece. @throws as `settled` does
   */
  add(publish: Promise<{ readonly seq: number }>, sent: Sent): Promise<void> | undefined;
  /** Resolves once nothing is on its way. @throws the first failure; what was sent after it is not waited for */
  drain(): Promise<void>;
}

export interface Sent {
  /** Sequence of the stream that the publish must get. */
  readonly sequence: number;
  readonly logIndex: number;
}

/**
 * @param most     publishes on their way at once
 * @param settled  told of each acknowledged publish, in order
 */
export function createPublishWindow(most: number, settled: (sent: Sent) => void): PublishWindow {
  const waiting: { readonly publish: Promise<{ readonly seq: number }>; readonly sent: Sent }[] = [];

  async function settleFirst(): Promise<void> {
    const { publish, sent } = waiting.shift()!;
    const { seq } = await publish;
    // A duplicate with the right sequence is our own publish, whose answer was lost.
    if (seq !== sent.sequence) throw new Error(`the stream answered sequence ${seq}, expected ${sent.sequence}`);
    settled(sent);
  }

  async function settleTo(left: number): Promise<void> {
    while (waiting.length > left) await settleFirst();
  }

  return {
    add(publish, sent) {
      publish.catch(() => undefined); // it is met again when its turn comes, or given up with those before it
      waiting.push({ publish, sent });
      return waiting.length >= most ? settleTo(most / 2) : undefined;
    },
    drain: () => settleTo(0),
  };
}
