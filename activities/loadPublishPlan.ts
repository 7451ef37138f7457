/** Whether a publication is still to be done. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { versionStream } from '../domain/events/streams.ts';
import type { PublishView } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';

/** @throws LifecycleError `version_not_found`, `stream_diverged` */
export async function loadPublishPlan(
  deps: ActivityDeps,
  { modelId, version, n }: { readonly modelId: ModelId; readonly version: Semver; readonly n: number },
): Promise<PublishView> {
  const stream = versionStream(modelId, version);
  const { folded } = await foldStream(deps.commands.log, stream, 'version_not_found');
  const isRunning = folded.state === 'Trained.publishing' && folded.context.publications === n;
  return {
    v: 1,
    stream,
    streamVersion: folded.version,
    state: folded.state,
    modelId,
    version,
    n,
    next: { kind: isRunning ? 'build' : 'done' },
  };
}
