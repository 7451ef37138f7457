/** `/keys` and `/access/me`. A secret is shown once: who loses the answer revokes the key and makes another. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { labelFrom } from '../../../domain/names.ts';
import { isTestKey } from '../../../store/keys/keyFormat.ts';
import type { ApiKey } from '../../../store/keys/keyStore.ts';
import { authorize, bearerOf, whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { answerRows } from '../../lists.ts';
import { closed, Line, RowsQuery } from '../../../wire/common.ts';
import { Key, KeyCreated, Keys, Me, NewKey } from '../../../wire/key.ts';
import { warned } from '../../warnings.ts';
import { instant } from '../../instant.ts';

const tags = ['keys'];
const manages = { scope: 'keys:manage', repeatable: true } as const;

export function keyRoutes(app: App, deps: ApiDeps): void {
  app.post('/keys', {
    config: manages,
    schema: { tags, description: 'The secret is shown this once.', body: NewKey, response: { 201: KeyCreated } },
    handler: async (request, reply) => {
      const principal = whoAsks(request);
      const { orgId, keyId } = principal;
      const { roles } = request.body;
      const { name, changes } = labelFrom(request.body.name);
      // An organisation's admin is not the operator of the instance, and does not become it.
      if (roles.includes('instance')) authorize(principal, 'instance:manage');
      // Test keys beget test keys: the embedded stack hands out none that work elsewhere.
      const kind = isTestKey(bearerOf(request) ?? '') ? 'test' : 'live';
      const { key, secret } = await deps.keys.createKey({ name, orgId, roles, createdBy: keyId, kind });
      reply.code(201);
      return { ...keyView(key), key: secret, ...warned(changes) };
    },
  });

  app.get('/keys', {
    config: { scope: 'keys:manage' },
    schema: { tags, querystring: Type.Object(RowsQuery, closed), response: { 200: Keys } },
    handler: (request, reply) => {
      const { orgId } = whoAsks(request);
      const keyOf = (key: ApiKey) => [key.createdAt.toISOString(), key.id];
      const read = (limit: number, after: readonly [string, string] | undefined) =>
        deps.keys.list(orgId, { limit, ...(after ? { after: { createdAt: new Date(after[0]), id: after[1] } } : {}) });
      const list = { name: 'keys', filter: { orgId }, keyOf };
      return answerRows(deps, request, reply, list, request.query, read, keyView);
    },
  });

  app.post('/keys/:key/revoke', {
    config: manages,
    schema: {
      tags,
      params: Type.Object({ key: Line(64) }, closed),
      body: Type.Object({}, closed),
      response: { 200: Key },
    },
    handler: async (request) => {
      const { orgId, keyId } = whoAsks(request);
      if (request.params.key === keyId) {
        throw new LifecycleError('forbidden', 'A key does not revoke itself. Use another admin key.');
      }
      return keyView(await deps.keys.revoke(orgId, request.params.key));
    },
  });

  app.get('/access/me', {
    config: { scope: 'any' },
    schema: { tags, response: { 200: Me } },
    handler: (request) => {
      const { keyId, name, orgId, roles, scopes } = whoAsks(request);
      return Promise.resolve({ key_id: keyId, name, org_id: orgId, roles: [...roles], scopes: [...scopes] });
    },
  });
}

export const keyView = (key: ApiKey): Key => ({
  id: key.id,
  name: key.name,
  org_id: key.orgId,
  roles: [...key.roles],
  last4: key.last4,
  created_at: instant(key.createdAt.getTime()),
  created_by: key.createdBy,
  revoked_at: key.revokedAt && instant(key.revokedAt.getTime()),
  last_used_at: key.lastUsedAt && instant(key.lastUsedAt.getTime()),
});
