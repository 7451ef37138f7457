/** `/orgs`: who shares this instance. For its operator only; an organisation sees nothing of another. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { labelFrom } from '../../../domain/names.ts';
import { ORG_ID_RULE, parseOrgId, type OrgId } from '../../../domain/org.ts';
import { isTestKey, randomDigits } from '../../../store/keys/keyFormat.ts';
import type { Org as StoredOrg } from '../../../store/orgs/orgStore.ts';
import { bearerOf, whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { answerRows } from '../../lists.ts';
import { closed, RowsQuery } from '../../../wire/common.ts';
import { NewOrg, OrgCreated, Orgs, type Org } from '../../../wire/org.ts';
import { warned } from '../../warnings.ts';
import { instant } from '../../instant.ts';
import { keyView } from './keys.ts';

const tags = ['organisations'];
const manages = { scope: 'instance:manage', repeatable: true } as const;

export function orgRoutes(app: App, deps: ApiDeps): void {
  app.post('/orgs', {
    config: manages,
    schema: {
      tags,
      description: 'An organisation and its first admin, whose secret is shown this once.',
      body: NewOrg,
      response: { 201: OrgCreated },
    },
    handler: async (request, reply) => {
      const { keyId } = whoAsks(request);
      const { id: wanted } = request.body;
      const { name, changes } = labelFrom(request.body.name);
      const id = idFrom(wanted ?? `org_${randomDigits(12)}`);
      const org = await deps.orgs.create({ id, name, createdBy: keyId });
      const kind = isTestKey(bearerOf(request) ?? '') ? 'test' : 'live';
      // A crash here leaves an organisation that nobody has a key of: it holds nothing, so the operator makes another.
      const admin = { name: 'admin', orgId: id, roles: ['admin'], createdBy: keyId, kind } as const;
      const { key, secret } = await deps.keys.createKey(admin);
      reply.code(201);
      return { ...orgView(org), admin_key: { ...keyView(key), key: secret }, ...warned(changes) };
    },
  });

  app.get('/orgs', {
    config: { scope: 'instance:manage' },
    schema: { tags, querystring: Type.Object(RowsQuery, closed), response: { 200: Orgs } },
    handler: (request, reply) => {
      const read = (limit: number, after: readonly [string] | undefined) =>
        deps.orgs.list({ limit, ...(after ? { after: after[0] } : {}) });
      const list = { name: 'orgs', filter: {}, keyOf: (org: StoredOrg) => [org.id] };
      return answerRows(deps, request, reply, list, request.query, read, orgView);
    },
  });
}

function idFrom(text: string): OrgId {
  const id = parseOrgId(text);
  if (id !== undefined && id !== 'default') return id;
  const detail = id === undefined ? `must be ${ORG_ID_RULE}` : '"default" means the own organisation of a key';
  throw new LifecycleError('invalid_input', `/id ${detail}.`, { errors: [{ pointer: '/id', detail }] });
}

const orgView = (org: StoredOrg): Org => ({
  id: org.id,
  name: org.name,
  created_at: instant(org.createdAt.getTime()),
  created_by: org.createdBy,
});
