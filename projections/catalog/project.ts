/** Pure. `catalog`: which models there are, their contract, stable version and listed versions. */
import type { Semver } from '../../domain/brands.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { modelStream, parseStream } from '../../domain/events/streams.ts';
import { releaseNumbers } from '../../domain/semver.ts';
import { need, put, type About, type Change, type Projection, type Rows } from '../table.ts';
import { countKeysOf, listings, modelCounts, models, type ListingRow, type ModelRow } from './schema.ts';

/** The model that a fact of the catalogue is about; a version's rollback counts, since it may no longer be the latest. */
function modelOf({ stream, type }: Pick<About, 'stream' | 'type'>): string | undefined {
  const parsed = parseStream(stream);
  if (parsed?.kind === 'model') return parsed.modelId;
  return parsed?.kind === 'version' && type === 'VersionRolledBack' ? parsed.modelId : undefined;
}

/** The version whose listing a fact moves. */
function listedIn({ stream, fact }: SequencedEvent): string | undefined {
  if (fact.type === 'VersionListed') return fact.data.version;
  const parsed = parseStream(stream);
  return parsed?.kind === 'version' && fact.type === 'VersionRolledBack' ? parsed.version : undefined;
}

function listing(row: Omit<ListingRow, 'latest_rank'>): Change {
  const isGood = row.place !== null && !row.is_rolled_back;
  return put(listings, { ...row, latest_rank: isGood ? (releaseNumbers(row.version) ?? null) : null });
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
    case 'StableVersionChanged':
    case 'StableVersionRestored':
      return { ...row, ...at, stable_version: fact.data.version };
    default:
      return undefined;
  }
}

/** A version is listed once; listed again, it keeps its place. */
function relisted(row: ModelRow, version: Semver, event: SequencedEvent, rows: Rows): Change[] {
  const { model_id } = row;
  const { place = null, is_rolled_back = false } = rows.get(listings, model_id, version) ?? {};
  if (event.fact.type === 'VersionRolledBack') return [listing({ model_id, version, place, is_rolled_back: true })];
  const count = place === null ? row.version_count + 1 : row.version_count;
  return [
    put(models, { ...row, version_count: count, updated_at: event.recordedAt, stream_version: event.version }),
    listing({ model_id, version, place: place ?? count, is_rolled_back }),
  ];
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
        version_count: 0,
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
  const version = listedIn(event);
  if (version !== undefined) return relisted(row, version, event, rows);
  const next = changed(row, event);
  return next ? [put(models, next)] : [];
}

export const catalog: Projection = {
  name: 'catalog',
  version: 3,
  tables: [models, listings, modelCounts],
  needs(event) {
    const { stream, fact } = event;
    const modelId = modelOf({ stream, type: fact.type });
    if (modelId === undefined) return [];
    const version = listedIn(event);
    const counted = fact.type === 'ModelRegistered' ? countedIn(fact.data) : [];
    return [
      need(models, modelId),
      ...(version === undefined ? [] : [need(listings, modelId, version)]),
      ...counted.map((key) => need(modelCounts, key)),
    ];
  },
  project,
  subjectOf(about) {
    const modelId = modelOf(about);
    return modelId === undefined ? undefined : modelStream(modelId);
  },
};
