/** The draft of a rollback's post-mortem, as a blob, and a notice that it is there. */
import type { Sha256 } from '../domain/brands.ts';
import { modelStream, rolloutStream } from '../domain/events/streams.ts';
import { postMortem, TOLD_OF_MODEL } from '../domain/rollout/postMortem.ts';
import { renderMarkdown } from '../domain/rollout/postMortemText.ts';
import { countedWithin } from '../store/within.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { notify } from './notify.ts';
import { noticeId } from './rollbackPlan.ts';

/** Most of a draft is its timeline; a rollout has some hundred facts at the most. */
const MOST_BYTES = 4 * 2 ** 20;

/** Of the 15 s that a try of this activity has. */
const COUNT_MS = 5_000;

/** Idempotent: the notice is posted once, and names the first draft. @throws LifecycleError `rollout_not_found` */
export async function draftPostMortem(
  deps: ActivityDeps,
  { rolloutId }: { readonly rolloutId: number },
): Promise<{ readonly sha256: Sha256; readonly bytes: number }> {
  const { log, blobs, grants, owners } = deps.commands;
  const stream = rolloutStream(rolloutId);
  const { folded } = await foldStream(log, stream, 'rollout_not_found');
  const { modelId, version } = folded.context;
  const events = await log.readStream(stream);
  const draft = postMortem({
    rolloutId,
    events,
    modelEvents: await log.readPart(modelStream(modelId), { types: TOLD_OF_MODEL }),
    leaves: await deps.telemetry.readLeaves(rolloutId),
    devices: await countedWithin(COUNT_MS, deps.telemetry.devicesStillOn(rolloutId)),
  });
  const blob = await blobs.put(new TextEncoder().encode(renderMarkdown(draft)), { max: MOST_BYTES });
  const owner = await owners.ownerOf(modelId);
  if (owner !== undefined) await grants.grant(owner, [blob.sha256]);
  const fact = events.find((e) => e.fact.type === 'RolloutRolledBack');
  if (fact) {
    const text = `Rollout ${rolloutId}: a draft of the post-mortem of ${version} is stored as ${blob.sha256}. Record the root cause.`;
    await notify(deps, { eventId: noticeId.postMortem(fact.id), audience: 'owners', text });
  }
  return { sha256: blob.sha256, bytes: blob.bytes };
}
