/** Pure. Whose each model is, kept beside the rows of a projection, so that every row it makes carries its organisation. */
import type { ModelId } from '../domain/brands.ts';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { parseStream, type StreamKind } from '../domain/events/streams.ts';
import { historyTable, need, put, type About, type Change, type Need, type Rows } from './table.ts';

export interface ModelOrgRow {
  model_id: string;
  org_id: string;
}

/** Each projection that lists it has a table of its own. */
export const modelOrgs = historyTable<ModelOrgRow>('model_orgs', {
  key: ['model_id'],
  columns: { model_id: 'text', org_id: 'text' },
});

/** The row that {@link orgOfModel} reads. */
export const needOrg = (modelId: ModelId): Need => need(modelOrgs, modelId);

/** The row that {@link learnOrg} writes. */
export function needsOfLearning({ stream, fact }: SequencedEvent): Need[] {
  const parsed = parseStream(stream);
  return parsed?.kind === 'model' && fact.type === 'ModelRegistered' ? [needOrg(parsed.modelId)] : [];
}

/** The row of a model that is registered by this fact; nothing for any other fact. */
export function learnOrg({ stream, fact }: SequencedEvent): Change[] {
  const parsed = parseStream(stream);
  if (parsed?.kind !== 'model' || fact.type !== 'ModelRegistered') return [];
  return [put(modelOrgs, { model_id: parsed.modelId, org_id: fact.data.org_id })];
}

/** Subjects of a projection that lists {@link modelOrgs}: the streams of its own kind, and models where they are registered. */
export function subjectAmong(kind: StreamKind, { stream, type }: About): string | undefined {
  const parsed = parseStream(stream);
  if (parsed?.kind === kind) return stream;
  return parsed?.kind === 'model' && type === 'ModelRegistered' ? stream : undefined;
}

/** @throws Error for a model that was never registered */
export function orgOfModel(rows: Rows, modelId: ModelId): string {
  const row = rows.get(modelOrgs, modelId);
  if (!row) throw new Error(`model ${modelId} was never registered`);
  return row.org_id;
}
