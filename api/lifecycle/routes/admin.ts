/** `/admin`: what the operator of the instance does to the service itself. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { closed, Line } from '../../../wire/common.ts';
import { RebuildResult } from '../../../wire/admin.ts';
import { beganLines, sendLines } from '../views/auditLines.ts';

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
      const lines = await beganLines(reply, request.url, ({ signal, onProgress }) =>
        deps.readModels.rebuild(name, signal, (done, total) => onProgress({ done, total })),
      );
      return sendLines(reply, lines);
    },
  });
}
