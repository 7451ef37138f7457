/** One subscription to NATS for everybody in a thread who waits for the log to grow. */
import { subscribeGrowth } from './nats.ts';

type Ring = (logIndex?: number) => void;

export interface SharedGrowth {
  /** @returns ends the subscription */
  subscribe(notify: Ring): () => void;
  /** Resolves once `signal` has aborted. Never rejects. */
  readonly done: Promise<void>;
}

export function shareGrowth(options: { readonly natsUrl: string; readonly signal: AbortSignal }): SharedGrowth {
  const notifies = new Set<Ring>();
  return {
    subscribe(notify) {
      notifies.add(notify);
      return () => void notifies.delete(notify);
    },
    done: subscribeGrowth({ ...options, onGrowth: (logIndex) => notifies.forEach((notify) => notify(logIndex)) }),
  };
}
