/** Pure. `catalog`: which models there are, their contract, stable and latest version. */
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { modelStream, parseStream } from '../../domain/events/streams.ts';
import { latestOf } from '../../domain/semver.ts';
import { need, put, type About, type Change, type Projection, type Rows } from '../table.ts';
import { countKeysOf, modelCounts, models, type ModelRow } from './schema.ts';

/** The model that a fact of the catalogue is about; a version's end counts, since it may no longer be the latest. */
function modelOf({ stream, type }: Pick<About, 'stream' | 'type'>): string | undefined {
  const parsed = parseStream(stream);
  if (parsed?.kind === 'model') return parsed.modelId;
  return parsed?.kind === 'version' && type === 'VersionRolledBack' ? parsed.modelId : undefined;
}

function withLatest(row: ModelRow): ModelRow {
  return { ...row, latest_version: latestOf(row.versions.filter((v) => !row.rolled_back.includes(v))) ?? null };
}

function changed(row: ModelRow, event: SequencedEvent): ModelRow | undefined {
  const { fact } = event;
  const at = { updated_at: event.recordedAt, stream_version: event.version };
  switch (fact.type) {
    case 'ModelContractDeclared':
      return {
        ...row,
        ...at,
        contract: fact.data.contract,
        architecture: fact.data.architecture ?? null,
        contract_digest: fact.data.digest,
      };
    case 'VersionListed':
      return withLatest({
        ...row,
        ...at,
        versions: [...row.versions.filter((v) => v !== fact.data.version), fact.data.version],
      });
    case 'StableVersionChanged':
    case 'StableVersionRestored':
      return { ...row, ...at, stable_version: fact.data.version };
    default:
      return undefined;
  }
}

const countedIn = ({ org_id, framework, use_case }: { org_id: string; framework: string; use_case: string }) =>
  countKeysOf(org_id, { framework, useCase: use_case });

function project(event: SequencedEvent, rows: Rows): Change[] {
  const { fact, stream: name } = event;
  const modelId = modelOf({ stream: name, type: fact.type });
  if (modelId === undefined) return [];
  if (fact.type === 'ModelRegistered') {
    return [
      put(models, {
        model_id: modelId,
        ...fact.data,
        contract: null,
        architecture: null,
        contract_digest: null,
        stable_version: null,
        latest_version: null,
        versions: [],
        rolled_back: [],
        created_at: event.recordedAt,
        updated_at: event.recordedAt,
        stream_version: event.version,
      }),
      ...countedIn(fact.data).map((counted) =>
        put(modelCounts, { counted, org_id: fact.data.org_id, n: (rows.get(modelCounts, counted)?.n ?? 0) + 1 }),
      ),
    ];
  }
  const row = rows.get(models, modelId);
  if (!row) throw new Error(`model ${modelId} was never registered`);
  if (fact.type === 'VersionRolledBack') {
    const stream = parseStream(event.stream);
    if (stream?.kind !== 'version') return [];
    const rolledBack = [...row.rolled_back.filter((v) => v !== stream.version), stream.version];
    return [put(models, withLatest({ ...row, rolled_back: rolledBack }))];
  }
  const next = changed(row, event);
  return next ? [put(models, next)] : [];
}

export const catalog: Projection = {
  name: 'catalog',
  version: 3,
  tables: [models, modelCounts],
  needs({ stream, fact }) {
    const modelId = modelOf({ stream, type: fact.type });
    if (modelId === undefined) return [];
    const counted = fact.type === 'ModelRegistered' ? countedIn(fact.data) : [];
    return [need(models, modelId), ...counted.map((key) => need(modelCounts, key))];
  },
  project,
  subjectOf(about) {
    const modelId = modelOf(about);
    return modelId === undefined ? undefined : modelStream(modelId);
  },
};
