/** C15–C21: rollouts as existing SDKs ask for them. What a deploy (C15) means is decided in `deploy.ts`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Caller, CommandDeps, Outcome } from '../../../commands/context.ts';
import { completesAtOnce } from '../../../commands/planDeploy.ts';
import { pauseRollout } from '../../../commands/pauseRollout.ts';
import { resumeRollout } from '../../../commands/resumeRollout.ts';
import { rollBack } from '../../../commands/rollBack.ts';
import { startRollout } from '../../../commands/startRollout.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { exists, type Existing } from '../../../machines/fold.ts';
import { isLive, type RolloutState } from '../../../machines/rollout.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { answerListText } from '../../http/listText.ts';
import { existingModel, existingRollout, viewOf, type View } from '../../reading.ts';
import { SdkCreateRollout, SdkRollBack, SdkRollout, SdkRollouts } from '../schemas.ts';
import { isStatus, sdkRollback, sdkRollout } from '../views.ts';
import { deploy, NOT_JUDGED, promote } from './deploy.ts';
import { Line, ModelRef } from '../../../wire/common.ts';

const tags = ['sdk: rollouts'];
const reads = { scope: 'rollouts:read' } as const;
const writes = { scope: 'rollouts:write' } as const;
const halts = { scope: ['rollouts:halt', 'rollouts:write'], stop: true } as const;
const ModelPath = Type.Object({ model: ModelRef });
const RolloutPath = Type.Object({
  model: ModelRef,
  rollout: Type.Integer({ minimum: 1, maximum: 999_999_999_999_999 }),
});

type Act = (deps: CommandDeps, caller: Caller, rolloutId: number) => Promise<Outcome>;

export function sdkRolloutRoutes(app: App, deps: ApiDeps): void {
  rollbackRoute(app, deps);

  app.post('/models/:model/rollouts', {
    config: writes,
    schema: {
      tags,
      params: ModelPath,
      body: SdkCreateRollout,
      response: { 200: SdkRollout, 201: SdkRollout },
    },
    handler: async (request, reply) => {
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { status, rollout } = await deploy(deps, request, reply, model, request.body);
      return reply.code(status).send(rollout);
    },
  });

  app.get('/models/:model/rollouts', {
    config: reads,
    schema: {
      tags,
      params: ModelPath,
      querystring: Type.Object({ status_filter: Type.Optional(Line(200)) }),
      response: { 200: SdkRollouts },
    },
    handler: async (request, reply) => {
      const { status_filter: filter } = request.query;
      return rolloutsOf(deps, request, reply, { isWanted: ({ state }) => !filter || isStatus(state, filter) });
    },
  });

  app.get('/models/:model/rollouts/active', {
    config: reads,
    schema: { tags, params: ModelPath, response: { 200: SdkRollouts } },
    handler: (request, reply) =>
      rolloutsOf(deps, request, reply, { phases: ['live'], isWanted: ({ state }) => isLive(state) }),
  });

  app.get('/models/:model/rollouts/:rollout', {
    config: reads,
    schema: { tags, params: RolloutPath, response: { 200: SdkRollout } },
    handler: async (request, reply) => {
      const { rollout: id } = request.params;
      const view = await viewOf(deps, request, reply);
      return sdkRollout(id, await rolloutOf(view, request, id), {
        at: view.at,
        totalDevices: await devicesOf(deps, request),
      });
    },
  });

  const act = async (request: RolloutRequest, reply: FastifyReply, use: Act) => {
    const { rollout: id } = request.params;
    await rolloutOf(await viewOf(deps, request, reply), request, id);
    await runCommand(deps, request, reply, {}, (commands, caller) => use(commands, caller, id));
    const view = await viewOf(deps, request, reply);
    return sdkRollout(id, await existingRollout(view, id), {
      at: view.at,
      totalDevices: await devicesOf(deps, request),
    });
  };

  const command = { tags, params: RolloutPath, body: Type.Object({}), response: { 200: SdkRollout } };
  app.post('/models/:model/rollouts/:rollout/start', {
    config: writes,
    schema: command,
    handler: async (request, reply) => {
      const started = await act(request, reply, (on, caller, rolloutId) => startRollout(on, caller, { rolloutId }));
      const state = await existingRollout(await viewOf(deps, request, reply), request.params.rollout);
      if (state.state !== 'Active' || !completesAtOnce(state.context.spec)) return started;
      await promote(deps, request, reply, request.params.rollout);
      const view = await viewOf(deps, request, reply);
      const ended = await existingRollout(view, request.params.rollout);
      const of = { at: view.at, totalDevices: started.total_devices };
      return { ...sdkRollout(request.params.rollout, ended, of), warnings: NOT_JUDGED };
    },
  });
  app.post('/models/:model/rollouts/:rollout/pause', {
    config: halts,
    schema: command,
    handler: (request, reply) =>
      act(request, reply, (on, caller, rolloutId) =>
        pauseRollout(on, caller, { rolloutId, reason: `paused by ${whoAsks(request).name}` }),
      ),
  });
  app.post('/models/:model/rollouts/:rollout/resume', {
    config: writes,
    schema: command,
    handler: (request, reply) =>
      act(request, reply, (on, caller, rolloutId) => resumeRollout(on, caller, { rolloutId })),
  });
}

function rollbackRoute(app: App, deps: ApiDeps): void {
  app.post('/models/:model/rollback', {
    config: halts,
    schema: {
      tags,
      description:
        'Marks the version in force and puts a good one back: `to_version` or `target_version`, else the newest good one before it.',
      params: ModelPath,
      body: SdkRollBack,
      response: { 200: SdkRollout },
    },
    handler: async (request, reply) => {
      const { to_version, target_version, reason } = request.body;
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const target = target_version ?? to_version;
      const input = {
        modelId: model.id,
        reason: reason ?? `rolled back by ${whoAsks(request).name}`,
        trigger: 'manual' as const,
        ...(target === undefined ? {} : { targetVersion: target }),
      };
      const { outcome } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        rollBack(commands, caller, input),
      );
      const view = await viewOf(deps, request, reply);
      const state = await existingRollout(view, outcome.rolloutId);
      return sdkRollback(outcome.rolloutId, state, { at: view.at, totalDevices: await devicesOf(deps, request) });
    },
  });
}

interface RolloutRequest extends FastifyRequest {
  readonly params: { readonly model: string; readonly rollout: number };
}
interface ModelRequest extends FastifyRequest {
  readonly params: { readonly model: string };
}

/** Registered devices of the organisation: what a share is a share of. A stop waits for no count. */
async function devicesOf({ fleetSize }: ApiDeps, request: FastifyRequest): Promise<number> {
  const { orgId } = whoAsks(request);
  return request.routeOptions.config.stop === true ? fleetSize.known(orgId) : fleetSize.now(orgId);
}

/** The rollout, if it is one of the model in the path. @throws LifecycleError `rollout_not_found` */
async function rolloutOf(view: View, request: RolloutRequest, id: number): Promise<Existing<RolloutState>> {
  const model = await existingModel(view, request.params.model);
  const { state } = await view.rollout(id);
  if (exists(state) && state.context.modelId === model.id) return state;
  throw new LifecycleError('rollout_not_found', `Model ${model.context.name} has no rollout ${id}.`);
}

/** Rollouts whose streams are held in memory together. */
const PAGE = 20;

/**
 * Newest first. The finder says which may be wanted; each is folded from its stream, so that an answer never trails a command of
 * the same caller.
 */
async function rolloutsOf(
  deps: ApiDeps,
  request: ModelRequest,
  reply: FastifyReply,
  {
    phases,
    isWanted,
  }: { readonly phases?: readonly string[]; readonly isWanted: (state: Existing<RolloutState>) => boolean },
) {
  const view = await viewOf(deps, request, reply);
  const model = await existingModel(view, request.params.model);
  const totalDevices = await devicesOf(deps, request);
  const found = await deps.commands.rollouts.ofModel(model.id);
  const ids = found.filter(({ phase }) => phases?.includes(phase) ?? true).map(({ rolloutId }) => rolloutId);
  async function* pages() {
    for (let i = 0; i < ids.length; i += PAGE) {
      const read = ids.slice(i, i + PAGE).map(async (id) => ({ id, state: await existingRollout(view, id) }));
      const wanted = (await Promise.all(read)).filter(({ state }) => isWanted(state));
      yield wanted.map(({ id, state }) => sdkRollout(id, state, { at: view.at, totalDevices }));
    }
  }
  return answerListText(reply, { open: '[', pages: pages(), close: () => ']' });
}
