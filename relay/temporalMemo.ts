/** What the memo of a workflow says, read from the subject's stream. */
import { parseStream } from '../domain/events/streams.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import type { Memo } from './temporalCalls.ts';

/** Model and version of the stream's subject; null where its first fact does not say. */
async function subjectOf(log: Pick<EventStore, 'readPart'>, stream: string) {
  const parsed = parseStream(stream);
  if (parsed?.kind === 'version') return { model: parsed.modelId, version: parsed.version };
  const first = (await log.readPart(stream, { limit: 1 }))[0]?.fact;
  if (first?.type === 'RolloutCreated') return { model: first.data.model_id, version: first.data.version };
  if (first?.type === 'TrainingRequested') {
    return { model: first.data.spec.model_id, version: first.data.spec.new_version };
  }
  return { model: null, version: null };
}

/** The memo of a process of `stream`. */
export async function memoOf(
  log: Pick<EventStore, 'readPart'>,
  process: { readonly stream: string; readonly startedBy: string; readonly correlationId: string | null },
): Promise<Memo> {
  const { model, version } = await subjectOf(log, process.stream);
  const { stream, startedBy, correlationId } = process;
  return { stream, model, version, startedByEvent: startedBy, correlationId };
}
