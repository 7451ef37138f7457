/** `/training`: runs as people see and steer them. Devices are in `tasks.ts`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Caller, CommandDeps, Outcome } from '../../../commands/context.ts';
import { abortTraining } from '../../../commands/abortTraining.ts';
import { pauseTraining } from '../../../commands/pauseTraining.ts';
import { requestTraining } from '../../../commands/requestTraining.ts';
import { resumeTraining } from '../../../commands/resumeTraining.ts';
import { stopTraining } from '../../../commands/stopTraining.ts';
import { trainingProcess } from '../../../domain/events/processes.ts';
import { trainingStream } from '../../../domain/events/streams.ts';
import type { TrainingState } from '../../../machines/trainingRun.ts';
import type { ListedRun } from '../../../projections/training/query.ts';
import { roundIdOf } from '../../../store/rounds/roundRow.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import { laneFor } from '../../lane.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { etagOfBody, unlessKnown } from '../../http/conditional.ts';
import { existingModel, existingRun, modelIdFrom, viewOf } from '../../reading.ts';
import { answerPage, answerRows, pageRequestOf } from '../../lists.ts';
import { AsOfQuery, closed, CommandQuery, ModelRef, PageQuery, RowsQuery } from '../../../wire/common.ts';
import { OperationCommanded } from '../../../wire/operation.ts';
import {
  MaybeReason,
  Rounds,
  TrainRequest,
  Training,
  TrainingCommanded,
  TrainingPage,
  WithReason,
  type TrainingSummary,
} from '../../../wire/training.ts';
import { roundViews, trainingView } from '../views/training.ts';
import { commandAnswer, entityAnswer } from './answers.ts';
import { answerOperation } from './operations.ts';
import { ModelParams, RunParams } from './params.ts';

const tags = ['training'];
const command = { tags, params: RunParams, querystring: CommandQuery, response: commandAnswer(TrainingCommanded) };
const stops = { scope: ['training:write', 'rollouts:halt'], stop: true } as const;
const writes = { scope: 'training:write' } as const;

type Act = (deps: CommandDeps, caller: Caller, runId: string) => Promise<Outcome>;

export function trainingRoutes(app: App, deps: ApiDeps): void {
  app.post('/models/:model/train', {
    config: writes,
    schema: {
      tags,
      description: '202 with an operation to follow. The same request again is the same run, whatever its key.',
      params: ModelParams,
      body: TrainRequest,
      querystring: CommandQuery,
      response: { ...commandAnswer(OperationCommanded), 202: OperationCommanded },
    },
    handler: async (request, reply) => {
      const { id: modelId } = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { outcome, events } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        requestTraining(commands, caller, { modelId, request: request.body, source: 'own' }),
      );
      return answerOperation(deps, request, reply, trainingProcess(outcome.runId), events);
    },
  });

  app.get('/training', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      querystring: Type.Object(
        {
          ...PageQuery,
          ...AsOfQuery,
          model: Type.Optional(ModelRef),
          status: Type.Optional(Training.properties.status),
        },
        closed,
      ),
      response: { 200: TrainingPage },
    },
    handler: async (request, reply) => {
      const { model, status, ...query } = request.query;
      const page = await pageRequestOf(deps, request, query, 'training');
      const { orgId } = whoAsks(request);
      const filter = {
        orgId,
        ...(model === undefined ? {} : { modelId: modelIdFrom(orgId, model) }),
        ...(status === undefined ? {} : { status }),
      };
      return answerPage(deps, request, reply, await deps.reads.runs(filter, page), summaryOf);
    },
  });

  app.get('/training/:run', {
    config: { scope: 'models:read' },
    schema: { tags, params: RunParams, querystring: Type.Object(AsOfQuery, closed), response: entityAnswer(Training) },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const { run: runId } = request.params;
      const run = await existingRun(view, runId);
      const shown = trainingView(runId, run, await acceptedNow(deps, runId, run));
      return unlessKnown(request, reply, shown);
    },
  });

  app.get('/training/:run/rounds', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      params: RunParams,
      querystring: Type.Object({ ...RowsQuery, ...AsOfQuery }, closed),
      response: { 200: Rounds },
    },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const { run: runId } = request.params;
      const run = await existingRun(view, runId);
      const accepted = await acceptedNow(deps, runId, run);
      const events = await view.facts(trainingStream(runId));
      const open = run.context.current && `${run.context.current.round}.${run.context.current.attempt}`;
      const rounds = roundViews(events, (key) => (key === open ? accepted : 0)).map((round, i) => ({
        round,
        n: i + 1,
      }));
      type Numbered = (typeof rounds)[number];
      const list = { name: 'rounds', filter: { orgId: view.orgId, runId }, keyOf: ({ n }: Numbered) => [n] };
      const read = (limit: number, [after = 0]: readonly number[] = []) =>
        Promise.resolve(rounds.slice(after, after + limit));
      const page = await answerRows(deps, request, reply, list, request.query, read, ({ round }: Numbered) => round);
      return { ...page, position: view.position };
    },
  });

  const act = async (request: FastifyRequest, reply: FastifyReply, runId: string, use: Act) => {
    await existingRun(await viewOf(deps, request, reply), runId);
    const about = { stream: trainingStream(runId) };
    const { events, position } = await runCommand(deps, request, reply, about, (commands, caller) =>
      use(commands, caller, runId),
    );
    const state = await existingRun(await viewOf(deps, request, reply), runId);
    const shown = trainingView(runId, state, await acceptedNow(laneFor<Rows>(deps, request), runId, state));
    reply.header('etag', etagOfBody(shown));
    return { ...shown, events, position };
  };

  app.post('/training/:run/pause', {
    config: stops,
    schema: { ...command, body: WithReason },
    handler: (request, reply) =>
      act(request, reply, request.params.run, (on, caller, runId) =>
        pauseTraining(on, caller, { runId, reason: request.body.reason, by: whoAsks(request).keyId }),
      ),
  });
  app.post('/training/:run/resume', {
    config: writes,
    schema: { ...command, body: MaybeReason },
    handler: (request, reply) =>
      act(request, reply, request.params.run, (on, caller, runId) =>
        resumeTraining(on, caller, { runId, ...request.body, by: whoAsks(request).keyId }),
      ),
  });
  app.post('/training/:run/stop', {
    config: stops,
    schema: { ...command, description: 'Ends with the last aggregated round.', body: MaybeReason },
    handler: (request, reply) =>
      act(request, reply, request.params.run, (on, caller, runId) => stopTraining(on, caller, { runId })),
  });
  app.post('/training/:run/abort', {
    config: stops,
    schema: { ...command, description: 'Keeps nothing; the version is Draft again.', body: WithReason },
    handler: (request, reply) =>
      act(request, reply, request.params.run, (on, caller, runId) =>
        abortTraining(on, caller, { runId, reason: request.body.reason }),
      ),
  });
}

/** Updates that the open round has by now; 0 where none is open. */
type Rows = Pick<ApiDeps, 'commands'>;
async function acceptedNow(deps: Rows, runId: string, { context }: TrainingState): Promise<number> {
  if (!context.current) return 0;
  const row = await deps.commands.rounds.round(roundIdOf(runId, context.current.round, context.current.attempt));
  return row?.accepted ?? 0;
}

const summaryOf = (row: ListedRun): TrainingSummary => ({
  run_id: row.run_id,
  model_id: row.model_id,
  version: row.version,
  status: row.status,
  rounds_planned: row.rounds_planned,
  rounds_done: Number(row.rounds_done),
  created_at: row.created_at,
  updated_at: row.updated_at,
});
