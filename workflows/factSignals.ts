/** The Temporal signal `fact`: a stream has grown. The handler only records how far; the loop of the workflow reads it. */
import { defineSignal, setHandler } from '@temporalio/workflow';
import type { FactSignal } from '../domain/events/processes.ts';

export const factSignal = defineSignal<[FactSignal]>('fact');

export interface FactSignals {
  /** A fact was signalled that no load has seen. */
  pending(): boolean;
  /** The highest version that was signalled so far. */
  newest(): number;
  /** A load saw the stream at this version: signals at or below it are old news. */
  seen(streamVersion: number): void;
}

/** Listens from now on; call it before the first await, or a signal that comes with the start is lost. */
export function listenForFacts(): FactSignals {
  let newest = 0;
  let loaded = 0;
  setHandler(factSignal, (signal) => {
    newest = Math.max(newest, signal.streamVersion);
  });
  return {
    pending: () => newest > loaded,
    newest: () => newest,
    seen: (version) => {
      loaded = Math.max(loaded, version);
    },
  };
}
