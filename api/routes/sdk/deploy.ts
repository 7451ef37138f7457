/**
 * What a deploy (C15) means (docs/design/http.md "Deploy"), first match wins: a repeat, a promotion of the version's own rollout, a way back to
 * an older good version, a version that is stable already, or a new rollout. Percentages are moved by stages only, for now.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { abortRollout } from '../../../commands/abortRollout.ts';
import { advanceRollout } from '../../../commands/advanceRollout.ts';
import { createAndStart } from '../../../commands/createAndStart.ts';
import { createRollout } from '../../../commands/createRollout.ts';
import { rollBack } from '../../../commands/rollBack.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import type { RolloutSpec } from '../../../domain/events/rollout.ts';
import type { StoredEvent } from '../../../domain/events/envelope.ts';
import { modelStream } from '../../../domain/events/streams.ts';
import { canonicalSha } from '../../../domain/hash/canonicalJson.ts';
import { specFromSdkCall } from '../../../domain/rollout/spec.ts';
import type { ModelState } from '../../../machines/model.ts';
import { isLive, type RolloutState } from '../../../machines/rollout.ts';
import { whoAsks } from '../../access/principal.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { waitUntil } from '../../logWatch.ts';
import { viewOf, type View } from '../../reading.ts';
import type { SdkCreateRollout, SdkRollout } from '../../schemas/sdk.ts';
import { sdkRollback, sdkRollout } from '../../views/sdk.ts';
import { invalidSpec } from '../own/rollouts.ts';

export const NOT_JUDGED = ['not judged'];
const REPEAT_MS = 5 * 60_000;
const PUBLISH_WAIT_MS = 15_000;

export interface Deployed {
  readonly status: 200 | 201;
  readonly rollout: SdkRollout;
}

interface Found {
  readonly id: number;
  readonly state: RolloutState;
  readonly createdBy: string;
}

interface Asked {
  readonly deps: ApiDeps;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly model: ModelState & { readonly id: string };
  readonly spec: RolloutSpec;
  readonly start: boolean;
  /** Rollouts of the model. */
  readonly count: number;
  /** Those among them that matter, newest first. */
  readonly rollouts: readonly Found[];
}

/** Everyone at once: one stage of 100 %. */
export const completesAtOnce = (spec: RolloutSpec | null) =>
  spec?.stages.length === 1 && spec.stages[0]!.percent === 100 && spec.cohort === undefined;

/** @throws LifecycleError for what names nothing, for percentages that do not fit, `conflict` and refusals as the rules say */
export async function deploy(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  model: ModelState & { readonly id: string },
  call: SdkCreateRollout,
): Promise<Deployed> {
  const parsed = specFromSdkCall(call);
  if ('errors' in parsed) throw invalidSpec(parsed.errors);
  const { spec } = parsed;
  await publishedVersion(deps, request, reply, model, spec.version);
  const view = await viewOf(deps, request, reply);
  const found = await rolloutsOf(deps, view, model.id, spec.version);
  const { rollouts } = found;
  const asked: Asked = { deps, request, reply, model, spec, start: call.start_immediately ?? false, ...found };
  const isEveryone = completesAtOnce(spec);

  const repeat = rollouts.find((r) => isRepeat(asked, r));
  if (repeat) return shown(asked, repeat.id, 200);

  const own = rollouts.find((r) => isLive(r.state.state) && r.state.context.version === spec.version);
  if (own) {
    if (!isEveryone || !asked.start) throw liveAlready(own);
    await promote(deps, request, reply, own.id);
    return shown(asked, own.id, 200, { warnings: NOT_JUDGED });
  }
  if (isEveryone && asked.start && (await isWayBack(asked, view))) return goBack(asked);
  if (model.context.stable === spec.version) return stableAlready(asked, isEveryone);
  return begin(asked, isEveryone);
}

/** A publication under way is awaited. @throws LifecycleError `version_not_found`; `unavailable` if it outlasts 15 s */
async function publishedVersion(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  model: ModelState & { id: string },
  version: string,
) {
  const read = async () => (await (await viewOf(deps, request, reply)).version(model.id, version)).state;
  const first = await read();
  if (first.version === 0) {
    throw new LifecycleError('version_not_found', `Model ${model.context.name} has no version ${version}.`);
  }
  if (first.state !== 'Trained.publishing') return;
  const ended = await waitUntil(deps.watch, PUBLISH_WAIT_MS, async () => {
    const now = await read();
    return now.state === 'Trained.publishing' ? undefined : now;
  });
  if (!ended) throw new LifecycleError('unavailable', `${version} is still being published.`, { retry_after_s: 5 });
}

/** Those that a deploy of the version may meet: open ones, and the newest that brought it to everyone. */
async function rolloutsOf(deps: ApiDeps, view: View, modelId: string, version: string) {
  const all = await deps.commands.rollouts.ofModel(modelId);
  const made = all.find((r) => r.phase === 'completed' && r.version === version);
  const met = all.filter((r) => r === made || r.phase === 'live' || (r.phase === 'pending' && r.version === version));
  const rollouts: Found[] = [];
  // One after the other: each is a connection of the readers.
  for (const { rolloutId } of met) {
    const { state, first } = await view.rollout(rolloutId);
    rollouts.push({ id: rolloutId, state, createdBy: first?.actor.id ?? '' });
  }
  return { count: all.length, rollouts };
}

/** The same key asked for the same within five minutes, and it is still open. */
function isRepeat({ request, spec, start }: Asked, { state, createdBy }: Found): boolean {
  const { context } = state;
  const isOpen = state.state === 'Pending' ? !start : isLive(state.state) && start;
  return (
    isOpen &&
    createdBy === whoAsks(request).keyId &&
    Date.now() - context.createdAt < REPEAT_MS &&
    context.spec !== null &&
    canonicalSha(context.spec) === canonicalSha(spec)
  );
}

const liveAlready = ({ id, state }: Found) =>
  new LifecycleError(
    'conflict',
    `Rollout ${id} brings ${state.context.version} to devices already. Advance it, or deploy 100 % with start_immediately.`,
    { more: { rollout_id: id } },
  );

/** Stage by stage to the end, as a person's override: every step is a fact with the key as its actor. */
export async function promote(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  rolloutId: number,
): Promise<void> {
  const reason = `100 % asked for by ${whoAsks(request).name}`;
  for (;;) {
    const { state } = await (await viewOf(deps, request, reply)).rollout(rolloutId);
    if (state.state === 'Completed') return;
    // One id a stage: a repeat after a lost answer goes on where it stopped.
    const businessKey = `promote-${rolloutId}-${state.context.epoch}-${state.context.stage}`;
    const { outcome } = await runCommand(deps, request, reply, { businessKey }, (commands, caller) =>
      advanceRollout(
        commands,
        { ...caller, commandId: `${caller.commandId}/${state.context.stage}` },
        { rolloutId, override: true, reason },
      ),
    );
    if (outcome.outcome === 'already') return;
  }
}

/** The version was stable before the one that is now rolling out or stable, by when each became stable first. */
async function isWayBack({ model, spec, rollouts }: Asked, view: View): Promise<boolean> {
  const order = firstStable(await view.facts(modelStream(model.id), { types: BECAME_STABLE }));
  if (!order.includes(spec.version)) return false;
  const other = rollouts.find((r) => isLive(r.state.state))?.state.context.version ?? model.context.stable;
  if (other === null || other === spec.version) return false;
  const at = order.indexOf(other);
  return at === -1 || order.indexOf(spec.version) < at;
}

const BECAME_STABLE = ['StableVersionChanged', 'StableVersionRestored'] as const;

function firstStable(events: readonly StoredEvent[]): string[] {
  const stable = events.flatMap(({ fact }) =>
    (fact.type === 'StableVersionChanged' || fact.type === 'StableVersionRestored') && fact.data.version !== null
      ? [fact.data.version]
      : [],
  );
  return [...new Set(stable)];
}

async function goBack(asked: Asked): Promise<Deployed> {
  const { deps, request, reply, model, spec } = asked;
  const input = {
    modelId: model.id,
    targetVersion: spec.version,
    reason: `100 % of ${spec.version} asked for by ${whoAsks(request).name}`,
    trigger: 'manual' as const,
  };
  const { outcome } = await runCommand(deps, request, reply, {}, (commands, caller) =>
    rollBack(commands, { ...caller, onConflict: 'stop' }, input),
  );
  const view = await viewOf(deps, request, reply);
  const { state } = await view.rollout(outcome.rolloutId);
  return { status: 200, rollout: sdkRollback(outcome.rolloutId, state, await sizes(asked, view)) };
}

/** A deploy of what everyone has changes nothing; less than everyone would be a control arm, which comes later. */
async function stableAlready(asked: Asked, isEveryone: boolean): Promise<Deployed> {
  const { version } = asked.spec;
  const made = asked.rollouts.find((r) => r.state.state === 'Completed' && r.state.context.version === version);
  if (!isEveryone || !made) {
    throw new LifecycleError(
      'conflict',
      `${version} is the stable version already; control arms are not in this release.`,
    );
  }
  return shown(asked, made.id, 200);
}

async function begin(asked: Asked, isEveryone: boolean): Promise<Deployed> {
  const { deps, request, reply, model, spec, start, count } = asked;
  const input = { modelId: model.id, spec };
  // Two requests at once see as many rollouts, get one id, and so are one command.
  const businessKey = `deploy-${canonicalSha({ model: model.id, spec, start }).slice(0, 32)}-${count}`;
  const everyone = isEveryone ? { completeAtOnce: { reason: `100 % asked for by ${whoAsks(request).name}` } } : {};
  const { outcome } = await runCommand(deps, request, reply, { businessKey }, (commands, caller) =>
    start ? createAndStart(commands, caller, { ...input, ...everyone }) : createRollout(commands, caller, input),
  );
  if (outcome.outcome === 'appended') await replacePending(asked, outcome.rolloutId);
  const warnings = start && isEveryone ? { warnings: NOT_JUDGED } : {};
  return shown(asked, outcome.rolloutId, outcome.outcome === 'appended' ? 201 : 200, warnings);
}

/** A new rollout takes the place of one of the same version that never started. */
async function replacePending({ deps, request, reply, spec, rollouts }: Asked, by: number): Promise<void> {
  for (const { id, state } of rollouts) {
    if (state.state !== 'Pending' || state.context.version !== spec.version) continue;
    await runCommand(deps, request, reply, {}, (commands, caller) =>
      abortRollout(
        commands,
        { ...caller, commandId: `${caller.commandId}/replace-${id}` },
        { rolloutId: id, reason: `replaced by rollout ${by}` },
      ),
    );
  }
}

async function sizes({ deps, request }: Asked, view: View) {
  return { at: view.at, totalDevices: await deps.fleetSize.now(whoAsks(request).orgId) };
}

async function shown(
  asked: Asked,
  id: number,
  status: 200 | 201,
  more: { warnings?: string[] } = {},
): Promise<Deployed> {
  const view = await viewOf(asked.deps, asked.request, asked.reply);
  const { state } = await view.rollout(id);
  return { status, rollout: { ...sdkRollout(id, state, await sizes(asked, view)), ...more } };
}
