/** `/models`: the catalogue, lineage, and the kill switch of a model. */
import Type from 'typebox';
import { registerModel } from '../../../commands/registerModel.ts';
import { rollBack } from '../../../commands/rollBack.ts';
import { modelStream } from '../../../domain/events/streams.ts';
import type { ShownModelRow } from '../../../projections/catalog/query.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { etagOfBody, unlessKnown } from '../../http/conditional.ts';
import { existingModel, existingRollout, viewOf } from '../../reading.ts';
import { answerPage, pageRequestOf } from '../../lists.ts';
import { AsOfQuery, closed, CommandQuery, Line, PageQuery } from '../../../wire/common.ts';
import { Lineage, Model, ModelPage, ModelRegistered, RegisterModel, type ModelSummary } from '../../../wire/model.ts';
import { ModelRolledBack } from '../../../wire/rollout.ts';
import { RollBackModel } from '../../../wire/version.ts';
import { modelView } from '../views/model.ts';
import { warned } from '../../warnings.ts';
import { lineageNodeView } from '../views/version.ts';
import { rolloutView } from '../views/rollout.ts';
import { commandAnswer, creationAnswer, entityAnswer } from './answers.ts';
import { ModelParams } from './params.ts';

const tags = ['models'];

export function modelRoutes(app: App, deps: ApiDeps): void {
  app.get('/models', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          ...PageQuery,
          ...AsOfQuery,
          framework: Type.Optional(Line(100)),
          use_case: Type.Optional(Line(200)),
          name_contains: Type.Optional(Line(200)),
        },
        closed,
      ),
      response: { 200: ModelPage },
    },
    handler: async (request, reply) => {
      const { framework, use_case, name_contains, ...query } = request.query;
      const page = await pageRequestOf(deps, request, query, 'catalog');
      const filter = {
        orgId: whoAsks(request).orgId,
        ...(framework === undefined ? {} : { framework }),
        ...(use_case === undefined ? {} : { useCase: use_case }),
        ...(name_contains === undefined ? {} : { nameContains: name_contains }),
      };
      return answerPage(deps, request, reply, await deps.reads.models(filter, page), summaryOf);
    },
  });

  app.post('/models', {
    config: { scope: 'models:write' },
    schema: { tags, body: RegisterModel, querystring: CommandQuery, response: creationAnswer(ModelRegistered) },
    handler: async (request, reply) => {
      const { use_case, description = '', ...rest } = request.body;
      const input = { ...rest, orgId: whoAsks(request).orgId, useCase: use_case, description };
      const { outcome, events, position } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        registerModel(commands, caller, input),
      );
      const view = await viewOf(deps, request, reply);
      const { state } = await view.model(outcome.modelId);
      const isNew = events.some((e) => e.type === 'ModelRegistered') && outcome.outcome === 'appended';
      const shown = await modelView(view, outcome.modelId, state);
      reply.code(isNew ? 201 : 200).header('etag', etagOfBody(shown));
      return { ...shown, events, position, ...warned(outcome.warnings) };
    },
  });

  app.get('/models/:model', {
    config: { scope: 'models:read' },
    schema: { tags, params: ModelParams, querystring: Type.Object(AsOfQuery, closed), response: entityAnswer(Model) },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const model = await existingModel(view, request.params.model);
      const shown = await modelView(view, model.id, model);
      return unlessKnown(request, reply, shown);
    },
  });

  app.get('/models/:model/lineage', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      params: ModelParams,
      querystring: Type.Object({ ...PageQuery, ...AsOfQuery }, closed),
      response: { 200: Lineage },
    },
    handler: async (request, reply) => {
      const page = await pageRequestOf(deps, request, request.query, 'versions', 'rollouts');
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const model = await existingModel(view, request.params.model);
      const found = await deps.reads.lineage({ orgId: view.orgId, modelId: model.id }, page);
      const { items: nodes, ...rest } = answerPage(deps, request, reply, found, lineageNodeView);
      return { model_id: model.id, name: model.context.name, nodes, ...rest };
    },
  });

  app.post('/models/:model/rollback', {
    config: { scope: ['rollouts:halt', 'rollouts:write'], stop: true },
    schema: {
      tags: ['rollouts'],
      description: 'The kill switch: marks the version in force and puts a good one back.',
      params: ModelParams,
      body: RollBackModel,
      querystring: CommandQuery,
      response: commandAnswer(ModelRolledBack),
    },
    handler: async (request, reply) => {
      const { reason, target_version, from_version } = request.body;
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const input = {
        modelId: model.id,
        reason,
        trigger: 'manual' as const,
        ...(target_version === undefined ? {} : { targetVersion: target_version }),
        ...(from_version === undefined ? {} : { fromVersion: from_version }),
      };
      const about = { stream: modelStream(model.id) };
      const { outcome, events, position } = await runCommand(deps, request, reply, about, (commands, caller) =>
        rollBack(commands, caller, input),
      );
      const view = await viewOf(deps, request, reply);
      const state = await existingRollout(view, outcome.rolloutId);
      return {
        ...rolloutView(outcome.rolloutId, state, view.at),
        rollout_id: outcome.rolloutId,
        target: state.context.rolledBack?.target ?? null,
        stable_version: (await view.model(model.id)).state.context.stable,
        events,
        position,
      };
    },
  });
}

const summaryOf = (row: ShownModelRow): ModelSummary => ({
  id: row.model_id,
  org_id: row.org_id,
  name: row.name,
  framework: row.framework,
  use_case: row.use_case,
  description: row.description,
  stable_version: row.stable_version,
  latest_version: row.latest_version,
  version_count: row.version_count,
  created_at: row.created_at,
  updated_at: row.updated_at,
});
