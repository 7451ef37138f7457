/** Pure. `pointers`: what devices must get now, by the same fold that tests and audit use (`domain/rollout/pointerFold.ts`). */
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { applyFact, pointerSubject } from '../../domain/rollout/pointerFold.ts';
import { need, put, type Change, type Need, type Projection, type Rows } from '../table.ts';
import { pointerRows, rolloutModels } from './schema.ts';

/** The model of a fact; for a rollout's later facts, once its row is loaded. */
function modelOf(event: SequencedEvent, rows: Rows): string | undefined {
  const stream = parseStream(event.stream);
  if (stream?.kind === 'model' || stream?.kind === 'version') return stream.modelId;
  if (stream?.kind !== 'rollout') return undefined;
  if (event.fact.type === 'RolloutCreated') return event.fact.data.model_id;
  if (!rows.has(rolloutModels, stream.rolloutId)) return undefined;
  return rows.get(rolloutModels, stream.rolloutId)?.model_id;
}

function needs(event: SequencedEvent, rows: Rows): Need[] {
  const stream = parseStream(event.stream);
  const modelId = modelOf(event, rows);
  return [
    ...(stream?.kind === 'rollout' ? [need(rolloutModels, stream.rolloutId)] : []),
    ...(modelId === undefined ? [] : [need(pointerRows, modelId)]),
  ];
}

function project(event: SequencedEvent, rows: Rows): Change[] {
  const stream = parseStream(event.stream);
  const modelId = modelOf(event, rows);
  if (modelId === undefined) {
    if (stream?.kind === 'rollout') throw new Error(`rollout ${stream.rolloutId} was never created`);
    return [];
  }
  const changes: Change[] = [];
  if (stream?.kind === 'rollout' && event.fact.type === 'RolloutCreated') {
    changes.push(put(rolloutModels, { rollout_id: stream.rolloutId, model_id: modelId }));
  }
  const before = rows.get(pointerRows, modelId)?.pointer;
  const pointer = applyFact(before, event);
  if (pointer && pointer !== before) {
    changes.push(put(pointerRows, { model_id: modelId, epoch: pointer.epoch, pointer }));
  }
  return changes;
}

export const pointers: Projection = {
  name: 'pointers',
  version: 4,
  tables: [pointerRows, rolloutModels],
  needs,
  project,
  subjectNeeds({ stream }) {
    const parsed = parseStream(stream);
    return parsed?.kind === 'rollout' ? [need(rolloutModels, parsed.rolloutId)] : [];
  },
  subjectOf: ({ stream, type, data }, rows) =>
    pointerSubject({ stream, type, data }, (id) => rows.get(rolloutModels, id)?.model_id),
};
