/** `/operations/{id}`: long work, and how train and publish answer. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { preferredWaitMs } from '../../http/prefer.ts';
import { OWN_PREFIX } from '../../http/problem.ts';
import { waitUntil } from '../../logWatch.ts';
import { viewOf } from '../../reading.ts';
import { AsOfQuery, closed, Line, type EventRef } from '../../../wire/common.ts';
import { Operation, type OperationCommanded } from '../../../wire/operation.ts';
import { operationView } from '../views/operation.ts';

export function operationRoutes(app: App, deps: ApiDeps): void {
  app.get('/operations/:id', {
    config: { scope: ['models:read', 'rollouts:read'] },
    schema: {
      tags: ['operations'],
      description: '`Prefer: wait=N` waits for its end, at most 15 s.',
      params: Type.Object({ id: Line(200) }, closed),
      querystring: Type.Object(AsOfQuery, closed),
      response: { 200: Operation },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      const { as_of } = request.query;
      const find = async () => {
        const found = await operationView(await viewOf(deps, request, reply, as_of), id, deps.publicUrl);
        if (!found) throw new LifecycleError('operation_not_found', `There is no operation ${id}.`);
        return found;
      };
      const first = await find();
      const waitMs = as_of === undefined ? preferredWaitMs(request, 0) : 0;
      if (first.state !== 'running' || waitMs === 0) return first;
      const ended = await waitUntil(deps.watch, waitMs, async () => unlessRunning(await find()));
      return ended ?? (await find());
    },
  });
}

const unlessRunning = (operation: Operation) => (operation.state === 'running' ? undefined : operation);

/** 202 with `Location`, or 200 with the outcome if its fact comes within `Prefer: wait=N`. */
export async function answerOperation(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  id: string,
  events: EventRef[],
): Promise<OperationCommanded> {
  const find = async () => {
    const found = await operationView(await viewOf(deps, request, reply), id, deps.publicUrl);
    if (!found) throw new Error(`operation ${id} is not in the log that has just answered its request`);
    return found;
  };
  const waitMs = preferredWaitMs(request, 0);
  const first = await find();
  const ended =
    first.state !== 'running' || waitMs === 0
      ? unlessRunning(first)
      : await waitUntil(deps.watch, waitMs, async () => unlessRunning(await find()));
  reply.code(ended ? 200 : 202);
  if (!ended) reply.header('location', `${OWN_PREFIX}/operations/${encodeURIComponent(id)}`);
  return { ...(ended ?? (await find())), events };
}
