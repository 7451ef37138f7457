/** `/admin`: what the operator of the instance does to the service itself. */
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { closed, Line } from '../../schemas/common.ts';
import { RebuildResult } from '../../schemas/admin.ts';
import { progressLines } from '../../views/auditLines.ts';

export function adminRoutes(app: App, deps: ApiDeps): void {
  app.post('/admin/read-models/:name/rebuild', {
    config: { scope: 'instance:manage', repeatable: true },
    schema: {
      tags: ['admin'],
      description:
        'Makes a read model again from the log while the live one answers. A stream of NDJSON: progress lines, then `{result}` or `{error}`. Whoever leaves cancels it, and the next call resumes it.',
      params: Type.Object({ name: Line(60) }, closed),
      body: Type.Object({}, closed),
      response: {
        200: {
          description: 'Progress, then the result',
          content: { 'application/x-ndjson': { schema: RebuildResult } },
        },
      },
    },
    handler: async (request, reply) => {
      const { name } = request.params;
      if (!deps.readModels.names.includes(name)) {
        const known = deps.readModels.names.join(', ');
        throw new LifecycleError('route_not_found', `There is no read model of that name. There are ${known}.`);
      }
      const stop = new AbortController();
      reply.raw.once('close', () => stop.abort());
      let tell: (now: object) => void = () => undefined;
      let begin = () => {};
      const begun = new Promise<void>((resolve) => (begin = resolve));
      const rebuilt = deps.readModels.rebuild(name, stop.signal, (done, total) => {
        begin();
        tell({ done, total });
      });
      // Nothing is sent before it holds the lock: a second one at the same time is refused with its own status.
      await Promise.race([begun, rebuilt]);
      const lines = progressLines(request.url, (onProgress) => {
        tell = onProgress;
        return rebuilt;
      });
      const answer: FastifyReply = reply; // the typed one wants the last line's object, and this is a stream of lines
      return answer.type('application/x-ndjson').header('cache-control', 'no-store').send(Readable.from(lines));
    },
  });
}
