/** The Temporal signal `fact`: a stream has grown. The handler only records how far; the loop of the workflow reads it. */
import { defineSignal, setHandler } from '@temporalio/workflow';
import type { FactRing } from '../domain/events/processes.ts';

export const factSignal = defineSignal<[FactRing]>('fact');

export interface FactSignals {
  /** A fact was rung that no load has seen. */
  pending(): boolean;
  /** The highest version that was rung so far. */
  rung(): number;
  /** A load saw the stream at this version: rings at or below it are old news. */
  seen(streamVersion: number): void;
}

/** Listens from now on; call it before the first await, or a ring that comes with the start is lost. */
export function listenForFacts(): FactSignals {
  let rung = 0;
  let loaded = 0;
  setHandler(factSignal, (ring) => {
    rung = Math.max(rung, ring.streamVersion);
  });
  return {
    pending: () => rung > loaded,
    rung: () => rung,
    seen: (version) => {
      loaded = Math.max(loaded, version);
    },
  };
}
