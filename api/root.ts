/** What stands at the root of the host: alive, ready, metrics, the API's own description, and signed blobs. */
import Type from 'typebox';

import { ERRORS, LifecycleError } from '../domain/errors.ts';
import type { App } from './app.ts';
import type { ApiDeps } from './context.ts';
import { shared } from './http/shared.ts';
import { blobReads } from './blobs.ts';
import { Line } from '../wire/common.ts';

const open = { scope: 'none' } as const;

const STATES = ['down', 'degraded', 'starting', 'ok'] as const; // the worst first
const State = Type.Union([
  Type.Literal('ok'),
  Type.Literal('starting'),
  Type.Literal('degraded'),
  Type.Literal('down'),
]);
const PartState = Type.Object(
  {
    name: Type.String(),
    state: State,
    detail: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
const Ready = Type.Object(
  {
    status: State,
    parts: Type.Array(PartState),
  },
  { additionalProperties: false },
);

/** A Fastify plugin. */
export function rootRoutes(deps: ApiDeps) {
  return (app: App): Promise<void> => {
    // Anybody may ask these without a key, so they cost the same however many ask.
    const parted = shared(() => deps.parts());
    const collected = shared(() => deps.metrics.registry.metrics());
    let description: string | undefined;
    const described = () => (description ??= JSON.stringify(app.swagger()));
    for (const url of ['/livez', '/healthz']) {
      app.get(url, {
        config: open,
        schema: { tags: ['process'], response: { 200: Type.Object({ status: Type.Literal('ok') }) } },
        handler: () => Promise.resolve({ status: 'ok' as const }),
      });
    }
    app.get('/readyz', {
      config: open,
      schema: {
        tags: ['process'],
        description:
          '503 without Postgres, or while it is migrated: stopping a rollout works without the others. `starting` with 200: all is ' +
          'answered but the lists of the read models that are named.',
        querystring: Type.Object({ verbose: Type.Optional(Line(200)) }),
        response: { 200: Ready, 503: Ready },
      },
      handler: async (_request, reply) => {
        const parts = [...(await parted())];
        const status = STATES.find((state) => parts.some((p) => p.state === state)) ?? 'ok';
        return reply.code(status === 'down' || deps.starting() ? 503 : 200).send({ status, parts });
      },
    });
    app.get('/metrics', {
      config: open,
      handler: async (_request, reply) => {
        const { registry } = deps.metrics;
        return reply.type(registry.contentType).send(await collected());
      },
    });
    app.get('/version', {
      config: open,
      schema: { tags: ['process'], response: { 200: Type.Object({ version: Type.String() }) } },
      handler: () => Promise.resolve({ version: deps.version }),
    });
    app.get('/openapi.json', {
      config: open,
      handler: (_request, reply) => reply.type('application/json; charset=utf-8').send(described()),
    });
    app.get('/errors/:code', {
      config: open,
      schema: {
        tags: ['process'],
        description: 'What `type` of a problem resolves to.',
        params: Type.Object({ code: Line(100) }),
        response: {
          200: Type.Object({
            code: Type.String(),
            title: Type.String(),
            status: Type.Integer(),
            retryable: Type.Boolean(),
            fix: Type.String(),
          }),
        },
      },
      handler: (request) => {
        const { code } = request.params;
        const row = Object.entries(ERRORS).find(([known]) => known === code)?.[1];
        if (!row) throw new LifecycleError('route_not_found', `There is no error code ${code}. See docs/errors.md.`);
        return Promise.resolve({ code, ...row });
      },
    });
    blobReads(app, deps);
    return Promise.resolve();
  };
}
