/** A person ends the publication that runs: the version stays Trained, and may be published again. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { versionStream } from '../domain/events/streams.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireVersion } from './existing.ts';

export interface CancelPublish {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly reason: string;
}

/**
 * PublishRefused with code `cancelled`. The worker that builds sees it within seconds; what it would still record is refused by
 * the version's machine.
 *
 * @throws LifecycleError `version_not_found`
 */
export async function cancelPublish(deps: CommandDeps, caller: Caller, input: CancelPublish): Promise<Outcome> {
  const { modelId, version, reason } = input;
  return execute(deps, caller, async (streams) => {
    const state = await requireVersion(streams, modelId, version);
    const decision = decideVersion(state, { type: 'cancelPublish', reason }, streams.now().getTime());
    return joinDecisions([{ stream: versionStream(modelId, version), decision }]);
  });
}
