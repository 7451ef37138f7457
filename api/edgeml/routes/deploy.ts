/** A deploy by version and percentage (C15). What it means is decided by `commands/planDeploy.ts`; here it is done, and answered. */
import type { ModelId, Semver } from '../../../domain/brands.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { abortRollout } from '../../../commands/abortRollout.ts';
import { advanceRollout } from '../../../commands/advanceRollout.ts';
import { createAndStart } from '../../../commands/createAndStart.ts';
import { createRollout } from '../../../commands/createRollout.ts';
import { completesAtOnce, planDeploy, type MetRollout } from '../../../commands/planDeploy.ts';
import { rollBack } from '../../../commands/rollBack.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import type { RolloutSpec } from '../../../domain/events/rollout.ts';
import { modelStream } from '../../../domain/events/streams.ts';
import { canonicalSha } from '../../../domain/hash/canonicalJson.ts';
import { specFromSdkCall } from '../../../domain/rollout/spec.ts';
import type { ModelState } from '../../../machines/model.ts';
import { whoAsks } from '../../access/principal.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { waitUntil } from '../../logWatch.ts';
import { existingRollout, viewOf, type View } from '../../reading.ts';
import type { SdkCreateRollout, SdkRollout } from '../schemas.ts';
import { sdkRollback, sdkRollout } from '../views.ts';
import { invalidSpec } from '../../invalidSpec.ts';

export const NOT_JUDGED = ['not judged'];
const PUBLISH_WAIT_MS = 15_000;

export interface Deployed {
  readonly status: 200 | 201;
  readonly rollout: SdkRollout;
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
  readonly rollouts: readonly MetRollout[];
}

/** @throws LifecycleError for what names nothing, for percentages that do not fit, `conflict` and refusals as the rules say */
export async function deploy(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  model: ModelState & { readonly id: string },
  call: SdkCreateRollout,
): Promise<Deployed> {
  const parsed = specFromSdkCall(call, { hasStable: model.context.stable !== null });
  if ('errors' in parsed) throw invalidSpec(parsed.errors);
  const { spec } = parsed;
  await publishedVersion(deps, request, reply, model, spec.version);
  const view = await viewOf(deps, request, reply);
  const found = await rolloutsOf(deps, view, model.id, spec.version);
  const start = call.start_immediately ?? false;
  const asked: Asked = { deps, request, reply, model, spec, start, ...found };
  const isEveryone = completesAtOnce(spec);
  const plan = planDeploy({
    spec,
    start,
    askedBy: whoAsks(request).keyId,
    now: Date.now(),
    stable: model.context.stable,
    stableOrder: isEveryone && start ? await stableOrder(view, model.id) : [],
    rollouts: found.rollouts,
  });
  switch (plan.kind) {
    case 'repeat':
      return shown(asked, plan.rollout.id, 200);
    case 'live_already':
      throw liveAlready(plan.rollout);
    case 'promote':
      await promote(deps, request, reply, plan.rollout.id);
      return shown(asked, plan.rollout.id, 200, { warnings: NOT_JUDGED });
    case 'go_back':
      return goBack(asked);
    case 'stable_already':
      // A deploy of what everyone has changes nothing; less than everyone would be a control arm, which comes later.
      if (isEveryone && plan.rollout) return shown(asked, plan.rollout.id, 200);
      throw new LifecycleError(
        'conflict',
        `${spec.version} is the stable version already; control arms are not in this release.`,
      );
    case 'begin':
      return begin(asked, isEveryone, plan.replaces);
    default:
      return plan satisfies never;
  }
}

/** A publication under way is awaited. @throws LifecycleError `version_not_found`; `unavailable` if it outlasts 15 s */
async function publishedVersion(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  model: ModelState & { id: string },
  version: Semver,
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
async function rolloutsOf(deps: ApiDeps, view: View, modelId: ModelId, version: Semver) {
  const all = await deps.commands.rollouts.ofModel(modelId);
  const made = all.find((r) => r.phase === 'completed' && r.version === version);
  const met = all.filter((r) => r === made || r.phase === 'live' || (r.phase === 'pending' && r.version === version));
  const rollouts: MetRollout[] = [];
  // One after the other: each is a connection of the readers.
  for (const { rolloutId } of met) {
    const { state, first } = await view.rollout(rolloutId);
    rollouts.push({ id: rolloutId, state, createdBy: first?.actor.id ?? '' });
  }
  return { count: all.length, rollouts };
}

const liveAlready = ({ id, state }: MetRollout) =>
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

const BECAME_STABLE = ['StableVersionChanged', 'StableVersionRestored'] as const;

/** Versions by when each became stable first. */
async function stableOrder(view: View, modelId: ModelId): Promise<string[]> {
  const events = await view.facts(modelStream(modelId), { types: BECAME_STABLE });
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
  const state = await existingRollout(view, outcome.rolloutId);
  return { status: 200, rollout: sdkRollback(outcome.rolloutId, state, await sizes(asked, view)) };
}

async function begin(asked: Asked, isEveryone: boolean, replaces: readonly number[]): Promise<Deployed> {
  const { deps, request, reply, model, spec, start, count } = asked;
  const input = { modelId: model.id, spec };
  // Two requests at once see as many rollouts, get one id, and so are one command.
  const businessKey = `deploy-${canonicalSha({ model: model.id, spec, start }).slice(0, 32)}-${count}`;
  const everyone = isEveryone ? { completeAtOnce: { reason: `100 % asked for by ${whoAsks(request).name}` } } : {};
  const { outcome } = await runCommand(deps, request, reply, { businessKey }, (commands, caller) =>
    start ? createAndStart(commands, caller, { ...input, ...everyone }) : createRollout(commands, caller, input),
  );
  if (outcome.outcome === 'appended') await replacePending(asked, replaces, outcome.rolloutId);
  const warnings = start && isEveryone ? { warnings: NOT_JUDGED } : {};
  return shown(asked, outcome.rolloutId, outcome.outcome === 'appended' ? 201 : 200, warnings);
}

/** A new rollout takes the place of one of the same version that never started. */
async function replacePending({ deps, request, reply }: Asked, pending: readonly number[], by: number): Promise<void> {
  for (const id of pending) {
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
  const state = await existingRollout(view, id);
  return { status, rollout: { ...sdkRollout(id, state, await sizes(asked, view)), ...more } };
}
