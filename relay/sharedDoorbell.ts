/** One subscription to the ring of NATS for everybody in a thread. */
import { subscribeDoorbell } from './nats.ts';

type Ring = (logIndex?: number) => void;

export interface SharedDoorbell {
  /** @returns ends the subscription */
  subscribe(ring: Ring): () => void;
  /** Resolves once `signal` has aborted. Never rejects. */
  readonly done: Promise<void>;
}

export function shareDoorbell(options: { readonly natsUrl: string; readonly signal: AbortSignal }): SharedDoorbell {
  const rings = new Set<Ring>();
  return {
    subscribe(ring) {
      rings.add(ring);
      return () => void rings.delete(ring);
    },
    done: subscribeDoorbell({ ...options, onBell: (logIndex) => rings.forEach((ring) => ring(logIndex)) }),
  };
}
