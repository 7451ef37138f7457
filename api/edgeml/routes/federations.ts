/** C31–C33: federations as existing SDKs ask for them (docs/design/http.md "Federations"). */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { labelFrom } from '../../../domain/names.ts';
import type { Federation, FederationStore } from '../../../store/federations/federationStore.ts';
import type { OrgId } from '../../../domain/org.ts';
import { orgAsked, whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { answerListText } from '../../http/listText.ts';
import { seconds } from '../../instant.ts';
import { warned } from '../../warnings.ts';
import { Line } from '../../../wire/common.ts';
import {
  SdkCreateFederation,
  SdkFederation,
  SdkJoined,
  SdkMembers,
  SdkNames,
  type SdkFederation as Shown,
} from '../schemas.ts';
import { pagesOfModels } from './modelList.ts';

const tags = ['sdk: federations'];
/** Constructing a `Federation` lists, and devices look one up before they join. */
const reads = { scope: ['models:read', 'training:participate'] } as const;
const FederationPath = Type.Object({ federation: Line(200, 1) });
const OrgQuery = { org_id: Type.Optional(Line(200)) };
const PAGE = 500;

export function federationRoutes(app: App, deps: ApiDeps): void {
  app.get('/federations', {
    config: reads,
    schema: {
      tags,
      querystring: Type.Object({ ...OrgQuery, name: Type.Optional(Line(600)) }),
      response: { 200: Type.Array(SdkFederation) },
    },
    handler: async (request, reply) => {
      const { org_id, name } = request.query;
      const orgId = orgAsked(request, org_id);
      if (name === undefined)
        return answerListText(reply, { open: '[', pages: pagesOf(deps.federations, orgId), close: () => ']' });
      const found = await deps.federations.named(orgId, name);
      return found ? [shown(found)] : [];
    },
  });

  app.post('/federations', {
    config: { scope: ['training:write', 'training:participate'] },
    schema: {
      tags,
      description: 'Idempotent by organisation and name. Devices join what is there; they make none.',
      body: SdkCreateFederation,
      querystring: Type.Object(OrgQuery),
      response: { 200: SdkFederation, 201: SdkFederation },
    },
    handler: async (request, reply) => {
      const { org_id, description = '' } = request.body;
      const { keyId, scopes } = whoAsks(request);
      const orgId = orgAsked(request, org_id ?? request.query.org_id);
      const { name, changes } = labelFrom(request.body.name);
      if (!scopes.has('training:write')) {
        const found = await deps.federations.named(orgId, name);
        if (!found) throw ofAnother(name);
        return shown(found);
      }
      const { federation, isNew } = await deps.federations.ensure({ orgId, name, description, createdBy: keyId });
      reply.code(isNew ? 201 : 200);
      return { ...shown(federation), ...warned(isNew ? changes : []) };
    },
  });

  app.get('/federations/:federation', {
    config: reads,
    schema: { tags, params: FederationPath, response: { 200: SdkFederation } },
    handler: async (request) => shown(await existing(deps, whoAsks(request).orgId, request.params.federation)),
  });

  app.get('/federations/:federation/members', {
    config: reads,
    schema: { tags, params: FederationPath, response: { 200: SdkMembers } },
    handler: async (request) => {
      const { orgId, createdAt } = await existing(deps, whoAsks(request).orgId, request.params.federation);
      return [{ org_id: orgId, status: 'joined' as const, joined_at: seconds(createdAt) }];
    },
  });

  app.get('/federations/:federation/models', {
    config: reads,
    schema: {
      tags,
      description: 'Every model of the organisation: SDKs look names up here, too.',
      params: FederationPath,
      response: { 200: SdkNames },
    },
    handler: async (request, reply) => {
      const { orgId } = await existing(deps, whoAsks(request).orgId, request.params.federation);
      const pages = pagesOfModels(deps.reads, { orgId }, ({ model_id: id, name }) => ({ id, name }));
      return answerListText(reply, { open: '[', pages, close: () => ']' });
    },
  });

  app.post('/federations/:federation/join', {
    config: { scope: ['training:write', 'training:participate'] },
    schema: {
      tags,
      params: FederationPath,
      body: Type.Object(OrgQuery, { additionalProperties: true }),
      response: { 200: SdkJoined },
    },
    handler: async (request) => {
      const orgId = orgAsked(request, request.body.org_id);
      const { federation: id } = request.params;
      const found = await deps.federations.find(orgId, id);
      // Whether another organisation has it, nobody is told.
      if (!found) throw ofAnother(id);
      return { federation_id: found.id, org_id: orgId, status: 'joined' as const };
    },
  });
}

const shown = ({ id, orgId, name, description, createdAt }: Federation): Shown => ({
  id,
  org_id: orgId,
  name,
  description,
  created_at: seconds(createdAt),
  updated_at: seconds(createdAt),
});

async function* pagesOf(federations: FederationStore, orgId: OrgId) {
  for (let after: Federation | undefined; ;) {
    const rows = await federations.list(orgId, { limit: PAGE, ...(after ? { after } : {}) });
    yield rows.map(shown);
    after = rows.at(-1);
    if (!after || rows.length < PAGE) return;
  }
}

/** @throws LifecycleError `federation_not_found` */
async function existing(deps: ApiDeps, orgId: OrgId, id: string): Promise<Federation> {
  const found = await deps.federations.find(orgId, id);
  if (found) return found;
  throw new LifecycleError('federation_not_found', `There is no federation ${id}.`);
}

/** A joiner must not found a second federation of the name that it was told. */
const ofAnother = (asked: string) =>
  new LifecycleError(
    'not_implemented',
    `Your organisation has no federation ${asked}, and joining another organisation's is not offered. ` +
      'A key of role operator makes one: POST /api/v1/federations.',
  );
