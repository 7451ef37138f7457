/**
 * Publishes to a JetStream stream, with many on their way: all acknowledgements come to one inbox, told apart by the last part of its subject. The
 * library's own publish makes a request of each, with a timer and a subject of its own, which costs more than the message.
 *
 * @source NATS documentation, "JetStream wire API reference", "Publishing" and "Headers"
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from 'nats';

export interface Expected {
  readonly stream: string;
  /** Sequence of the stream's last message. */
  readonly lastSequence: number;
  /** Its id, where we know it. */
  readonly lastId: string | undefined;
}

export interface Publisher {
  /**
   * Sends at once. Resolves with the sequence that the stream gave, also where it had the message already.
   *
   * @throws Error refused, with the server's reason; no stream takes the subject; no answer in time
   */
  publish(message: {
    readonly subject: string;
    readonly id: string;
    readonly data: string;
    readonly headers: MsgHdrs;
    readonly expected: Expected;
  }): Promise<{ readonly seq: number }>;
  /** Ends the inbox. What is on its way is not waited for. */
  close(): void;
}

interface Waiting {
  readonly resolve: (answer: { readonly seq: number }) => void;
  readonly reject: (error: Error) => void;
  readonly since: number;
}

const NO_RESPONDERS = 503;

/** @param timeoutMs how long an answer may take */
export function createPublisher(nc: NatsConnection, timeoutMs: number): Publisher {
  const inbox = createInbox();
  const waiting = new Map<string, Waiting>();
  let sent = 0;
  const subscription = nc.subscribe(`${inbox}.*`, { callback: (_, message) => settle(message) });
  const timer = setInterval(giveUp, timeoutMs / 4);

  function settle(message: Msg): void {
    const token = message.subject.slice(inbox.length + 1);
    const one = waiting.get(token);
    waiting.delete(token);
    if (!one) return;
    try {
      one.resolve({ seq: sequenceOf(message) });
    } catch (error) {
      one.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** They were sent in order, so the first that has time left ends it. */
  function giveUp(): void {
    const before = performance.now() - timeoutMs;
    for (const [token, { since, reject }] of waiting) {
      if (since > before) return;
      waiting.delete(token);
      reject(new Error(`NATS did not answer a publish within ${timeoutMs} ms`));
    }
  }

  return {
    publish({ subject, id, data, headers, expected }) {
      const token = String((sent += 1));
      headers.append('Nats-Msg-Id', id);
      headers.append('Nats-Expected-Stream', expected.stream);
      headers.append('Nats-Expected-Last-Sequence', String(expected.lastSequence));
      if (expected.lastId !== undefined) headers.append('Nats-Expected-Last-Msg-Id', expected.lastId);
      nc.publish(subject, data, { headers, reply: `${inbox}.${token}` });
      return new Promise((resolve, reject) => waiting.set(token, { resolve, reject, since: performance.now() }));
    },
    close() {
      clearInterval(timer);
      waiting.clear();
      if (!nc.isClosed()) subscription.unsubscribe();
    },
  };
}

/** @throws Error for an answer that is no acknowledgement */
function sequenceOf(message: Msg): number {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) {
    throw new Error('no JetStream stream takes the subject, or JetStream is off');
  }
  const answer = message.json<{ seq?: unknown; error?: { code?: number; description?: string } }>();
  if (answer.error)
    throw new Error(`the stream refused it: ${answer.error.description ?? `code ${answer.error.code}`}`);
  if (typeof answer.seq !== 'number') throw new Error('the stream answered without a sequence');
  return answer.seq;
}
