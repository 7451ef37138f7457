/** Whose a stream is, and which blobs its facts open to that organisation. */
import type { ModelId, Sha256 } from '../domain/brands.ts';
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import { blobsOf } from '../domain/events/blobs.ts';
import type { StoredEvent } from '../domain/events/envelope.ts';
import { parseStream } from '../domain/events/streams.ts';
import type { OrgId } from '../domain/org.ts';
import type { ModelOwners } from '../store/orgs/modelOwners.ts';
import { faultOf } from './blobHeader.ts';
import type { CommandDeps } from './context.ts';
import type { NewFact, Streams } from './execute.ts';

/** The model of a stream by its first fact: runs and rollouts name it there only. */
export function modelOfFirst({ stream, fact }: Pick<StoredEvent, 'stream' | 'fact'>): string | undefined {
  const parsed = parseStream(stream);
  if (parsed?.kind === 'model' || parsed?.kind === 'version') return parsed.modelId;
  if (fact.type === 'TrainingRequested') return fact.data.spec.model_id;
  return fact.type === 'RolloutCreated' ? fact.data.model_id : undefined;
}

/** The organisation of the stream that begins with `first`; undefined where no model says it. */
export async function ownerOf(
  owners: ModelOwners,
  first: Pick<StoredEvent, 'stream' | 'fact'>,
): Promise<OrgId | undefined> {
  const modelId = modelOfFirst(first);
  return modelId === undefined ? undefined : owners.ownerOf(modelId);
}

const NOT_FOUND: Readonly<Record<string, ErrorCode>> = {
  model: 'model_not_found',
  version: 'version_not_found',
  training: 'training_not_found',
  rollout: 'rollout_not_found',
};

/** What a caller is told of another organisation's stream: the same as of one that does not exist. */
export function noSuchStream(stream: string): LifecycleError {
  const code = NOT_FOUND[parseStream(stream)?.kind ?? ''] ?? 'stream_not_found';
  return new LifecycleError(code, `There is no ${stream}.`);
}

/** Blobs that `facts` name, with the organisation that may open them once the facts are stored. */
export async function toGrant(
  { owners }: Pick<CommandDeps, 'owners'>,
  streams: Streams,
  facts: readonly NewFact[],
): Promise<{ readonly orgId: OrgId; readonly blobs: string[] }[]> {
  const found = new Map<OrgId, string[]>();
  for (const { stream, fact } of facts) {
    const blobs = blobsOf(fact);
    if (blobs.length === 0) continue;
    const modelId = modelOfFirst({ stream, fact }) ?? (await modelOfRun(streams, stream));
    const orgId = modelId === undefined ? undefined : await owners.ownerOf(modelId);
    if (orgId !== undefined) found.set(orgId, [...(found.get(orgId) ?? []), ...blobs]);
  }
  return [...found].map(([orgId, blobs]) => ({ orgId, blobs }));
}

async function modelOfRun(streams: Streams, stream: string): Promise<string | undefined> {
  const parsed = parseStream(stream);
  return parsed?.kind === 'training' ? (await streams.training(parsed.runId)).context.spec?.model_id : undefined;
}

/**
 * Refuses a blob that the model's organisation neither uploaded nor made: a hash alone opens nothing.
 *
 * @param what    how the caller's text calls the blob, such as `Base <sha>`
 * @param pointer member of the request that names it, where one does
 * @throws LifecycleError `blob_unknown`, whether or not another organisation has the bytes
 */
export async function requireGranted(
  { owners, grants }: Pick<CommandDeps, 'owners' | 'grants'>,
  modelId: ModelId,
  sha256: Sha256,
  what: string,
  pointer?: string,
): Promise<void> {
  const orgId = await owners.ownerOf(modelId);
  if (orgId !== undefined && (await grants.has(orgId, sha256))) return;
  throw faultOf({ code: 'blob_unknown', detail: 'is not stored; upload it first' }, what, pointer);
}
