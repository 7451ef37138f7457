/**
 * Pure. What "deploy this version" means where a call names a version and a percentage only (docs/design/http.md "Deploy"). The first
 * that fits:
 *
 *   a repeat of the call          the same key asked for the same within five minutes, and that rollout is still open
 *   a promotion                   the version's own rollout is live, and all are to get it now
 *   a way back                    all are to get a version that was stable before the one that is live or stable now
 *   nothing                       it is the stable version already
 *   a new rollout
 */
import { canonicalSha } from '../domain/hash/canonicalJson.ts';
import type { RolloutSpec } from '../domain/events/rollout.ts';
import { isTargeted } from '../domain/rollout/plan.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';

const REPEAT_MS = 5 * 60_000;

export interface MetRollout {
  readonly id: number;
  readonly state: RolloutState;
  /** Key of the caller that created it. */
  readonly createdBy: string;
}

export interface DeployCall {
  readonly spec: RolloutSpec;
  readonly start: boolean;
  /** Key of the caller. */
  readonly askedBy: string;
  /** Unix ms. */
  readonly now: number;
  /** The model's stable version. */
  readonly stable: string | null;
  /** Versions of the model by when each became stable first. */
  readonly stableOrder: readonly string[];
  /** Of the model, newest first: open ones, and the newest that brought the version to everyone. */
  readonly rollouts: readonly MetRollout[];
}

export type DeployPlan =
  | { readonly kind: 'repeat' | 'promote' | 'live_already'; readonly rollout: MetRollout }
  | { readonly kind: 'go_back' }
  /** With the rollout that made it so, where there was one. */
  | { readonly kind: 'stable_already'; readonly rollout: MetRollout | undefined }
  /** `replaces`: rollouts of the version that never started. */
  | { readonly kind: 'begin'; readonly replaces: readonly number[] };

/** Everyone at once: one stage of 100 %. */
export const completesAtOnce = (spec: RolloutSpec | null): boolean =>
  spec?.stages.length === 1 && spec.stages[0]!.percent === 100 && !isTargeted(spec);

export function planDeploy(call: DeployCall): DeployPlan {
  const { spec, start, stable, rollouts } = call;
  const isEveryone = completesAtOnce(spec) && start;
  const ofVersion = rollouts.filter((r) => r.state.context.version === spec.version);

  const repeat = rollouts.find((r) => isRepeat(call, r));
  if (repeat) return { kind: 'repeat', rollout: repeat };
  const own = ofVersion.find((r) => isLive(r.state.state));
  if (own) return { kind: isEveryone ? 'promote' : 'live_already', rollout: own };
  if (isEveryone && isWayBack(call)) return { kind: 'go_back' };
  if (stable === spec.version)
    return { kind: 'stable_already', rollout: ofVersion.find((r) => r.state.state === 'Completed') };
  return { kind: 'begin', replaces: ofVersion.filter((r) => r.state.state === 'Pending').map((r) => r.id) };
}

function isRepeat({ spec, start, askedBy, now }: DeployCall, { state, createdBy }: MetRollout): boolean {
  const { context } = state;
  const isOpen = state.state === 'Pending' ? !start : isLive(state.state) && start;
  return (
    isOpen &&
    createdBy === askedBy &&
    now - context.createdAt < REPEAT_MS &&
    context.spec !== null &&
    canonicalSha(context.spec) === canonicalSha(spec)
  );
}

/** The version was stable before the one that is now rolling out or stable. */
function isWayBack({ spec, stable, stableOrder, rollouts }: DeployCall): boolean {
  if (!stableOrder.includes(spec.version)) return false;
  const other = rollouts.find((r) => isLive(r.state.state))?.state.context.version ?? stable;
  if (other === null || other === spec.version) return false;
  const at = stableOrder.indexOf(other);
  return at === -1 || stableOrder.indexOf(spec.version) < at;
}
