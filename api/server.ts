/** Builds the HTTP server. It does not listen, and opens nothing: whoever composes it listens and closes. */
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type RouteOptions } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { LifecycleError } from '../domain/errors.ts';
import type { App } from './app.ts';
import type { ApiDeps } from './context.ts';
import { admit, identify } from './access/bearer.ts';
import { isDataRefused } from '../store/connect.ts';
import { allowOrigins } from './http/cors.ts';
import { answerExpectations } from './http/expect.ts';
import { answerByUs, answerClientError, answerRouterFault } from './http/brokenRequests.ts';
import { DryRunEnd } from './http/dryRun.ts';
import { requireIdempotencyKey } from './http/idempotency.ts';
import { checkCharset, parseJson } from './http/parseJson.ts';
import { createErrorHandler, isLifecycleApi, OWN_PREFIX, PARAM_MOST, sendProblem } from './http/problem.ts';
import { limitKeys } from './http/rateLimit.ts';

import { laneFor } from './lane.ts';
import { compileValidator, withoutNulls } from './http/validate.ts';
import { checkRequest, pathOf } from './http/wellFormed.ts';
import { countRefusal, observeRequests } from './metrics.ts';
import { ownRoutes } from './lifecycle/routes/index.ts';
import { rootRoutes } from './root.ts';
import { sdkRoutes } from './edgeml/routes/index.ts';
import { Problem } from '../wire/common.ts';

const JSON_LIMIT = 1024 * 1024;

/** @param logger pino or alike; without it nothing is logged */
export function createServer(deps: ApiDeps, logger?: FastifyBaseLogger): App {
  const app: App = Fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: JSON_LIMIT,
    // A large upload over a slow line takes minutes; a request that sends nothing does not hold its connection for ever.
    requestTimeout: 15 * 60_000,
    genReqId: requestIdOf,
    // The peer's address decides where test keys work: a header must not.
    trustProxy: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAM_MOST },
    rewriteUrl: ({ url = '/' }) => pathOf(url),
    frameworkErrors: answerRouterFault(deps.publicUrl),
    clientErrorHandler: answerClientError(deps.publicUrl),
    // `checkRequest` asks for it, with a body that says so.
    http: { requireHostHeader: false },
    return503OnClosing: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.setValidatorCompiler(compileValidator);
  // Answers go out as they are made; tests hold each against the schema that /openapi.json publishes.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler((error: Error, request, reply) => {
    if (error instanceof DryRunEnd) return reply.code(200).send(error.answer);
    if (error instanceof LifecycleError) countRefusal(deps.metrics, error);
    if (isDataRefused(error)) {
      deps.metrics.databaseRefusals.inc();
      request.log.error({ err: error }, 'Postgres was the first to refuse a value of the request');
    }
    return createErrorHandler(deps.publicUrl)(error, request, reply);
  });
  app.setNotFoundHandler((request, reply) => {
    const detail = `There is no ${request.method} ${request.url.split('?')[0]} here. See /openapi.json.`;
    return sendProblem(request, reply, new LifecycleError('route_not_found', detail), deps.publicUrl);
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/([\w.-]+\+)?json/, { parseAs: 'buffer' }, (request, bytes, done) => {
    try {
      checkCharset(request);
      done(null, parseJson(Buffer.from(bytes)));
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
  app.decorateRequest('principal', undefined);
  app.addHook('onRoute', documentRoute);
  // Before the hooks that refuse: a refusal, too, is for a script to read.
  if (deps.corsOrigins.length > 0) allowOrigins(app, deps.corsOrigins);
  void app.after(() => addHooks(app, deps));
  if (deps.rateLimit !== undefined) limitKeys(app, deps.rateLimit);
  answerByUs(app.server, deps.publicUrl);
  answerExpectations(app);

  void app.register(swagger, { openapi: openapiHead(deps), hideUntagged: true, exposeHeadRoutes: true });
  void app.register(rootRoutes(deps));
  void app.register(ownRoutes(deps), { prefix: OWN_PREFIX });
  void app.register(sdkRoutes(deps));
  return app;
}

function addHooks(app: App, deps: ApiDeps): void {
  observeRequests(app, deps.metrics);
  let isClosing = false;
  app.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (isClosing) throw new LifecycleError('unavailable', 'This server is going down. Ask again.');
    checkRequest(request);
    const { scope } = request.routeOptions.config;
    if (scope === 'none' || request.is404) return;
    if (scope === undefined) throw new Error(`${request.url} declares no scope`);
    const starting = deps.starting();
    if (starting) {
      const detail = `This server is starting: ${starting.name}: ${starting.detail ?? 'not ready yet'}. Ask again.`;
      throw new LifecycleError('starting', detail, { retry_after_s: 1 });
    }
    // What a key is answered is for its holder; a shared cache between must not keep it. A route may say more.
    reply.header('cache-control', 'private, no-cache');
    request.principal = await identify(request, deps.deviceAuth, laneFor(deps, request).keys);
    admit(request, deps.deviceAuth, scope);
    requireIdempotencyKey(request);
  });
  app.addHook('preValidation', (request, _reply, done) => {
    // An empty body is `{}`, and on the EdgeML API null means absent.
    if (request.body === undefined && request.routeOptions.schema?.body) request.body = {};
    if (!isLifecycleApi(request) && isPlain(request.body)) request.body = withoutNulls(request.body);
    done();
  });
}

/** Streams and buffers of uploads are not JSON. */
const isPlain = (body: unknown) =>
  Array.isArray(body) ||
  (typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype);

/** Every route answers problems, names its scope in the documentation, and has one. */
function documentRoute(route: RouteOptions): void {
  if (route.method === 'OPTIONS') route.config = { scope: 'none' }; // preflights, answered before there is a key
  const { scope } = route.config ?? {};
  if (scope === undefined) throw new Error(`${String(route.method)} ${route.url} declares no scope`);
  if (!route.schema) return;
  const isOwn = route.url.startsWith(OWN_PREFIX);
  const media = isOwn ? 'application/problem+json' : 'application/json';
  const problem = { description: 'What is wrong, and what to do', content: { [media]: { schema: Problem } } };
  const given = typeof route.schema.response === 'object' ? route.schema.response : {};
  const names = scope === 'none' ? [] : scope === 'any' ? ['any key'] : [scope].flat();
  route.schema = {
    ...route.schema,
    response: { ...given, '4xx': problem, '5xx': problem },
    security: scope === 'none' ? [] : [{ bearer: [] }],
    ...(names.length > 0
      ? { description: `${route.schema.description ?? ''} Scope: ${names.join(' or ')}.`.trim() }
      : {}),
  };
}

/** The caller's id where it is harmless, else a fresh one. */
function requestIdOf(request: IncomingMessage): string {
  const sent = request.headers['x-request-id'];
  return typeof sent === 'string' && /^[\w.:-]{1,128}$/.test(sent) ? sent : `req_${randomUUID()}`;
}

const openapiHead = (deps: ApiDeps) => ({
  openapi: '3.1.0',
  info: {
    title: 'EdgeML Lifecycle',
    version: deps.version,
    description: 'Lifecycle API under /lifecycle/v1; EdgeML API, which existing SDKs speak, under /api/v1.',
  },
  servers: [{ url: deps.publicUrl }],
  components: { securitySchemes: { bearer: { type: 'http' as const, scheme: 'bearer' } } },
});

export type Server = FastifyInstance;
