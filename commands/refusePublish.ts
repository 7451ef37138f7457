/** A check of the gate failed: the version stays Trained and says why. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { versionStream } from '../domain/events/streams.ts';
import type { GateCheck } from '../domain/events/version.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireVersion } from './existing.ts';

export interface RefusePublish {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly n: number;
  readonly code: string;
  readonly checks: readonly GateCheck[];
  /** Where no check failed. */
  readonly reason?: string;
}

/** PublishRefused. */
export async function refusePublish(deps: CommandDeps, caller: Caller, input: RefusePublish): Promise<Outcome> {
  const { modelId, version, n, code, reason } = input;
  return execute(deps, caller, async (streams) => {
    const state = await requireVersion(streams, modelId, version);
    const data = { n, code, checks: [...input.checks], ...(reason === undefined ? {} : { reason }) };
    const decision = decideVersion(state, { type: 'refusePublish', data }, streams.now().getTime());
    return joinDecisions([{ stream: versionStream(modelId, version), decision }]);
  });
}
