/** `/rollouts`: how far a version may reach. Pause, abort and rollback are stops: no header holds them up. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { abortRollout } from '../../../commands/abortRollout.ts';
import { advanceRollout } from '../../../commands/advanceRollout.ts';
import type { Caller, CommandDeps, Outcome } from '../../../commands/context.ts';
import { createAndStart } from '../../../commands/createAndStart.ts';
import { createRollout } from '../../../commands/createRollout.ts';
import { pauseRollout } from '../../../commands/pauseRollout.ts';
import { readPreflight } from '../../../commands/fleetEvidence.ts';
import { recordRootCause } from '../../../commands/recordRootCause.ts';
import { resumeRollout } from '../../../commands/resumeRollout.ts';
import { rollBack } from '../../../commands/rollBack.ts';
import { startRollout } from '../../../commands/startRollout.ts';
import { rolloutStream } from '../../../domain/events/streams.ts';
import { parseRolloutRequest } from '../../../domain/rollout/spec.ts';
import type { App } from '../../app.ts';
import { runCommand } from '../../command.ts';
import { DryRunEnd } from '../../http/dryRun.ts';
import type { ApiDeps } from '../../context.ts';
import { etagOfBody, unlessKnown } from '../../http/conditional.ts';
import { invalidSpec } from '../../invalidSpec.ts';
import { existingModel, existingRollout, modelIdFrom, viewOf } from '../../reading.ts';
import { answerPage, pageRequestOf } from '../../lists.ts';
import { whoAsks } from '../../access/principal.ts';
import { AsOfQuery, closed, CommandQuery, ModelRef, PageQuery, VersionRef } from '../../../wire/common.ts';
import {
  Advance,
  CreatedRollout,
  CreateRollout,
  RollBackRollout,
  Rollout,
  RolloutCommanded,
  RolloutEnded,
  RolloutPage,
  RolloutPlan,
  RolloutStatus,
  RootCause,
} from '../../../wire/rollout.ts';
import { MaybeReason, WithReason } from '../../../wire/training.ts';
import { preflightView } from '../views/preflight.ts';
import { rolloutSummaryView, rolloutView } from '../views/rollout.ts';
import { stateOfStatus } from '../../rolloutStatus.ts';
import { commandAnswer, entityAnswer } from './answers.ts';
import { ModelParams, RolloutParams } from './params.ts';

const tags = ['rollouts'];
const halts = { scope: ['rollouts:halt', 'rollouts:write'], stop: true } as const;
const writes = { scope: 'rollouts:write' } as const;
const command = { tags, params: RolloutParams, querystring: CommandQuery, response: commandAnswer(RolloutCommanded) };
const ending = { ...command, response: commandAnswer(RolloutEnded) };

type Act = (deps: CommandDeps, caller: Caller, rolloutId: number) => Promise<Outcome>;

export function rolloutRoutes(app: App, deps: ApiDeps): void {
  app.get('/rollouts', {
    config: { scope: 'rollouts:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          ...PageQuery,
          ...AsOfQuery,
          model: Type.Optional(ModelRef),
          version: Type.Optional(VersionRef),
          status: Type.Optional(RolloutStatus),
          live: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
      response: { 200: RolloutPage },
    },
    handler: async (request, reply) => {
      const { model, version, status, live, ...query } = request.query;
      const page = await pageRequestOf(deps, request, query, 'rollouts');
      const { orgId } = whoAsks(request);
      const filter = {
        orgId,
        ...(model === undefined ? {} : { modelId: modelIdFrom(orgId, model) }),
        ...(version === undefined ? {} : { version }),
        ...(status === undefined ? {} : { state: stateOfStatus(status) }),
        ...(live === undefined ? {} : { isLive: live }),
      };
      return answerPage(deps, request, reply, await deps.reads.rollouts(filter, page), rolloutSummaryView);
    },
  });

  app.post('/models/:model/rollouts', {
    config: writes,
    schema: {
      tags,
      params: ModelParams,
      body: CreateRollout,
      querystring: CommandQuery,
      response: { 200: Type.Union([CreatedRollout, RolloutPlan]), 201: CreatedRollout },
    },
    handler: async (request, reply) => {
      const { id: modelId, context } = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const parsed = parseRolloutRequest(request.body, { hasStable: context.stable !== null });
      if ('errors' in parsed) throw invalidSpec(parsed.errors);
      const { spec, start } = parsed;
      const input = { modelId, spec };
      const preflight = preflightView(await readPreflight(deps.commands, input), spec);
      const { outcome, events, position } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        start ? createAndStart(commands, caller, input) : createRollout(commands, caller, input),
      ).catch((error: unknown) => {
        throw error instanceof DryRunEnd ? new DryRunEnd({ ...error.answer, preflight }) : error;
      });
      reply.code(outcome.outcome === 'appended' ? 201 : 200);
      return { ...(await current(deps, request, reply, outcome.rolloutId)), preflight, events, position };
    },
  });

  app.get('/rollouts/:rollout', {
    config: { scope: 'rollouts:read' },
    schema: {
      tags,
      params: RolloutParams,
      querystring: Type.Object(AsOfQuery, closed),
      response: entityAnswer(Rollout),
    },
    handler: async (request, reply) => {
      const { rollout: id } = request.params;
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const rollout = await existingRollout(view, id);
      const shown = rolloutView(id, rollout, view.at);
      return unlessKnown(request, reply, shown);
    },
  });

  const act = async (request: FastifyRequest, reply: FastifyReply, rolloutId: number, use: Act) => {
    await existingRollout(await viewOf(deps, request, reply), rolloutId);
    const about = { stream: rolloutStream(rolloutId) };
    const { events, position } = await runCommand(deps, request, reply, about, (commands, caller) =>
      use(commands, caller, rolloutId),
    );
    return { ...(await current(deps, request, reply, rolloutId)), events, position };
  };

  /** The same for what ends it: says also which version is stable then. */
  const end = async (request: FastifyRequest, reply: FastifyReply, rolloutId: number, use: Act) => {
    const shown = await act(request, reply, rolloutId, use);
    const view = await viewOf(deps, request, reply);
    return { ...shown, stable_version: (await view.model(shown.model_id)).state.context.stable };
  };

  app.post('/rollouts/:rollout/start', {
    config: writes,
    schema: { ...command, body: MaybeReason },
    handler: (request, reply) =>
      act(request, reply, request.params.rollout, (on, caller, rolloutId) => startRollout(on, caller, { rolloutId })),
  });
  app.post('/rollouts/:rollout/pause', {
    config: halts,
    schema: { ...command, body: WithReason },
    handler: (request, reply) =>
      act(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        pauseRollout(on, caller, { rolloutId, reason: request.body.reason }),
      ),
  });
  app.post('/rollouts/:rollout/resume', {
    config: writes,
    schema: { ...command, body: MaybeReason },
    handler: (request, reply) =>
      act(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        resumeRollout(on, caller, { rolloutId, ...request.body }),
      ),
  });
  app.post('/rollouts/:rollout/advance', {
    config: writes,
    schema: { ...command, body: Advance },
    handler: (request, reply) => {
      const { override = false, ...rest } = request.body;
      return act(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        advanceRollout(on, caller, { rolloutId, override, ...rest }),
      );
    },
  });
  app.post('/rollouts/:rollout/abort', {
    config: halts,
    schema: { ...ending, body: WithReason },
    handler: (request, reply) =>
      end(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        abortRollout(on, caller, { rolloutId, reason: request.body.reason }),
      ),
  });
  app.post('/rollouts/:rollout/rollback', {
    config: halts,
    schema: { ...ending, body: RollBackRollout },
    handler: (request, reply) => {
      const { reason, target_version } = request.body;
      const target = target_version === undefined ? {} : { targetVersion: target_version };
      return end(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        rollBack(on, caller, { rolloutId, reason, trigger: 'manual', ...target }),
      );
    },
  });
  app.post('/rollouts/:rollout/root-cause', {
    config: writes,
    schema: { ...command, body: RootCause },
    handler: (request, reply) =>
      act(request, reply, request.params.rollout, (on, caller, rolloutId) =>
        recordRootCause(on, caller, { rolloutId, text: request.body.text }),
      ),
  });
}

async function current(deps: ApiDeps, request: FastifyRequest, reply: FastifyReply, rolloutId: number) {
  const view = await viewOf(deps, request, reply);
  const state = await existingRollout(view, rolloutId);
  const shown = rolloutView(rolloutId, state, view.at);
  reply.header('etag', etagOfBody(shown));
  return shown;
}
