/** How often people resumed a run: part of the id of a pause, so that each pause is a new one. */
import type { EventStore } from '../store/log/eventStore.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import type { Standing } from './foldStream.ts';

/** Up to the version that was folded. */
export async function resumesOf(
  log: Pick<EventStore, 'readPart'>,
  { stream, folded }: Standing<TrainingState>,
): Promise<number> {
  const resumed = await log.readPart(stream, { types: ['TrainingResumed'] });
  return resumed.filter((e) => e.version <= folded.version).length;
}
