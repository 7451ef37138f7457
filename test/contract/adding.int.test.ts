/** The recipe "A route" of docs/adding.md, with a route that is in no build. */
import { randomUUID } from 'node:crypto';
import Type from 'typebox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../api/app.ts';
import { runCommand } from '../../api/command.ts';
import type { ApiDeps } from '../../api/context.ts';
import { existingModel, viewOf } from '../../api/reading.ts';
import { createServer } from '../../api/server.ts';
import { draftVersion } from '../../commands/draftVersion.ts';
import { OWN, openTestApi, type TestApi } from './testApi.ts';

const closed = { additionalProperties: false };

function fakeRoutes(app: App, deps: ApiDeps): void {
  app.get('/fakes/:model', {
    config: { scope: 'models:read' },
    schema: {
      tags: ['fakes'],
      params: Type.Object({ model: Type.String() }, closed),
      querystring: Type.Object({}, closed),
      response: { 200: Type.Object({ name: Type.String() }, closed) },
    },
    handler: async (request, reply) => {
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      return { name: model.context.name };
    },
  });
  app.post('/fakes/:model', {
    config: { scope: 'models:write' },
    schema: {
      tags: ['fakes'],
      params: Type.Object({ model: Type.String() }, closed),
      body: Type.Object({ version: Type.String() }, closed),
    },
    handler: async (request, reply) => {
      const { id: modelId } = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { version } = request.body;
      const { events } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        draftVersion(commands, caller, { modelId, version }),
      );
      return { events };
    },
  });
}

let t: TestApi;
let app: App;
beforeAll(async () => {
  t = await openTestApi();
  app = createServer(t.api.deps);
  await app.register(
    (scoped: App) => {
      fakeRoutes(scoped, t.api.deps);
      return Promise.resolve();
    },
    { prefix: OWN },
  );
  await app.ready();
  await t.published('known', '1.0.0');
});
afterAll(async () => {
  await app.close();
  await t.close();
});

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });
const ask = (path: string, secret = t.secretOf('viewer')) =>
  app.inject({ method: 'GET', url: `${OWN}${path}`, headers: bearer(secret) });

describe('a route that is added to the app', () => {
  it('answers who has its scope, and nobody else', async () => {
    const answer = await ask('/fakes/known');
    expect([answer.statusCode, answer.json()]).toEqual([200, { name: 'known' }]);
    expect(answer.headers['cache-control']).toContain('private');
    expect((await ask('/fakes/known', 'ek_nobody')).statusCode).toBe(401);
    expect((await ask('/fakes/known', t.secretOf('device'))).json()).toMatchObject({ code: 'insufficient_scope' });
  });

  it('refuses what its schema does not know, and what is not there, with the one error body', async () => {
    const refused = await ask('/fakes/known?loud=1');
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect(refused.json()).toMatchObject({ code: 'unknown_field', errors: [{}] });
    expect((await ask('/fakes/unknown')).json()).toMatchObject({ code: 'model_not_found' });
  });

  it('changes something once for one Idempotency-Key, and not without one', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const change = (headers: Record<string, string>) =>
      app.inject({
        method: 'POST',
        url: `${OWN}/fakes/known`,
        headers: { ...bearer(t.secretOf('operator')), ...headers },
        payload: { version: '2.0.0' },
      });
    expect((await change({})).json()).toMatchObject({ code: 'idempotency_key_required' });
    const first = await change(key);
    expect(first.json()).toMatchObject({ events: [{ type: 'VersionDrafted' }] });
    const again = await change(key);
    expect([again.headers['idempotency-replayed'], again.json()]).toEqual(['true', first.json()]);
  });

  it('is in /openapi.json with its scope', async () => {
    const { paths } = (await app.inject({ method: 'GET', url: '/openapi.json' })).json<{ paths: object }>();
    expect(paths).toMatchObject({
      [`${OWN}/fakes/{model}`]: { get: { description: expect.stringContaining('models:read') as string } },
    });
  });

  it('is refused at the start where it names no scope', () => {
    const other = createServer(t.api.deps);
    expect(() => other.get('/open', () => 'for everybody')).toThrow(/declares no scope/);
  });
});
