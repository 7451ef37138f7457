/** Pure. `pointers`: what devices must get now, by the same fold that tests and audit use (`domain/rollout/pointerFold.ts`). */
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { applyFact, pointerModel, pointerSubject, versionsNamed } from '../../domain/rollout/pointerFold.ts';
import type { PointerMemory } from '../../domain/rollout/pointerMemory.ts';
import { need, put, type Change, type Need, type Projection, type Rows } from '../table.ts';
import { marks, pointerRows, rolloutsOf } from './schema.ts';

const memoryOf = (rows: Rows): PointerMemory => ({
  rollout(id) {
    const row = rows.get(rolloutsOf, id);
    return row?.has_ended === false ? row : undefined;
  },
  isRolledBack: (modelId, version) => rows.get(marks, modelId, version) !== undefined,
});

function needs(event: SequencedEvent, rows: Rows): Need[] {
  const stream = parseStream(event.stream);
  const rolloutId = stream?.kind === 'rollout' ? stream.rolloutId : undefined;
  if (rolloutId !== undefined && !rows.has(rolloutsOf, rolloutId)) return [need(rolloutsOf, rolloutId)];
  const memory = memoryOf(rows);
  const modelId = pointerModel(event, memory);
  if (modelId === undefined) return [];
  const rollout = rolloutId === undefined ? undefined : memory.rollout(rolloutId);
  return [need(pointerRows, modelId), ...versionsNamed(event, rollout).map((v) => need(marks, modelId, v))];
}

function project(event: SequencedEvent, rows: Rows): Change[] {
  const memory = memoryOf(rows);
  const modelId = pointerModel(event, memory);
  if (modelId === undefined) {
    const stream = parseStream(event.stream);
    if (stream?.kind === 'rollout' && !rows.get(rolloutsOf, stream.rolloutId)) {
      throw new Error(`rollout ${stream.rolloutId} was never created`);
    }
    return [];
  }
  const before = rows.get(pointerRows, modelId)?.pointer;
  const { pointer, news } = applyFact(before, event, memory);
  const { created, ended, rolledBack } = news;
  const isNew = rolledBack && !memory.isRolledBack(modelId, rolledBack.version);
  return [
    ...(pointer && pointer !== before ? [put(pointerRows, { model_id: modelId, epoch: pointer.epoch, pointer })] : []),
    ...(created ? [put(rolloutsOf, { ...created, has_ended: false })] : []),
    ...(ended ? [put(rolloutsOf, { ...ended, has_ended: true })] : []),
    ...(isNew ? [put(marks, { model_id: modelId, version: rolledBack.version })] : []),
  ];
}

export const pointers: Projection = {
  name: 'pointers',
  version: 6,
  tables: [pointerRows, rolloutsOf, marks],
  needs,
  project,
  subjectNeeds({ stream }) {
    const parsed = parseStream(stream);
    return parsed?.kind === 'rollout' ? [need(rolloutsOf, parsed.rolloutId)] : [];
  },
  subjectOf: ({ stream, type, data }, rows) =>
    pointerSubject({ stream, type, data }, (id) => rows.get(rolloutsOf, id)?.model_id),
};
