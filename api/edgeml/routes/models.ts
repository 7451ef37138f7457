/** C02–C07, C11, C13, C14: models and versions as existing SDKs ask for them. */
import type { ModelId, Semver } from '../../../domain/brands.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { registerModel } from '../../../commands/registerModel.ts';
import { requestPublish } from '../../../commands/requestPublish.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { versionStream } from '../../../domain/events/streams.ts';
import { exists, type Existing } from '../../../machines/fold.ts';
import type { ModelState } from '../../../machines/model.ts';
import { isUsable, type VersionState } from '../../../machines/modelVersion.ts';
import type { VersionRow } from '../../../projections/versions/schema.ts';
import { orgAsked } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { answerListText } from '../../http/listText.ts';
import { waitUntil } from '../../logWatch.ts';
import { existingModel, existingVersion, viewOf, type View } from '../../reading.ts';
import { SdkModel, SdkModels, SdkRegisterModel, SdkVersion, SdkVersions } from '../schemas.ts';
import { DownloadLink } from '../../../wire/deviceCalls.ts';
import { existingLatest, latestVersion } from '../../latestVersion.ts';
import { modelOfState, NO_VERSION, sdkModel, sdkVersion, versionOfRow, versionOfState } from '../views.ts';
import { warned } from '../../warnings.ts';
import { sendBlob } from '../../blobs.ts';
import { downloadLink, wantedFile, wantsJson } from './download.ts';
import { Line, ModelRef, VersionRef } from '../../../wire/common.ts';
import { modelList } from './modelList.ts';

const tags = ['sdk: models'];
const reads = { scope: 'models:read' } as const;
/** Devices download what they are told, and look up what they are told of. */
const readsByDevices = { scope: ['models:read', 'devices:heartbeat'] } as const;
/** The files themselves: also of unpublished versions, except for devices. */
const downloads = { scope: ['artifacts:read', 'devices:heartbeat'] } as const;
const ModelPath = Type.Object({ model: ModelRef });
const VersionPath = Type.Object({ model: ModelRef, version: VersionRef });
const Paging = {
  limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
};
const PUBLISH_WAIT_MS = 15_000;
/** Versions whose streams are held in memory together. */
const PAGE = 100;

export function sdkModelRoutes(app: App, deps: ApiDeps): void {
  app.get('/models', {
    config: reads,
    schema: {
      tags,
      querystring: Type.Object({
        ...Paging,
        org_id: Type.Optional(Line(200)),
        framework: Type.Optional(Line(200)),
        use_case: Type.Optional(Line(200)),
      }),
      response: { 200: SdkModels },
    },
    handler: async (request, reply) => {
      const { org_id, limit, offset = 0, framework, use_case } = request.query;
      const kind = {
        orgId: orgAsked(request, org_id),
        ...(framework ? { framework } : {}),
        ...(use_case ? { useCase: use_case } : {}),
      };
      const part = { offset, ...(limit === undefined ? {} : { limit }) };
      // The typed reply wants the object, and this is its text.
      return answerListText(reply, modelList(deps.reads, kind, part));
    },
  });

  app.post('/models', {
    config: { scope: 'models:write' },
    schema: {
      tags,
      body: SdkRegisterModel,
      querystring: Type.Object({ org_id: Type.Optional(Line(200)) }),
      response: { 200: SdkModel, 201: SdkModel },
    },
    handler: async (request, reply) => {
      const { name, framework, use_case, description = '', org_id, model_contract } = request.body;
      const orgId = orgAsked(request, org_id ?? request.query.org_id);
      const contract = model_contract === undefined ? {} : { contract: model_contract };
      const input = { orgId, name, framework, useCase: use_case, description, ...contract };
      const { outcome } = await runCommand(deps, request, reply, {}, (commands, caller) =>
        registerModel(commands, caller, input),
      );
      reply.code(outcome.outcome === 'appended' ? 201 : 200);
      const { modelId, warnings } = outcome;
      const view = await viewOf(deps, request, reply);
      const isNew = outcome.outcome === 'appended';
      const model = await existingModel(view, modelId);
      const shown = isNew ? newModel(model) : await shownModel(deps, view, model);
      return { ...shown, ...warned(warnings) };
    },
  });

  app.get('/models/:model', {
    config: readsByDevices,
    schema: { tags, params: ModelPath, response: { 200: SdkModel } },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply);
      return shownModel(deps, view, await existingModel(view, request.params.model));
    },
  });

  app.get('/models/:model/versions', {
    config: readsByDevices,
    schema: {
      tags,
      params: ModelPath,
      querystring: Type.Object({ ...Paging, status: Type.Optional(Line(200)) }),
      response: { 200: SdkVersions },
    },
    handler: async (request, reply) => {
      const { limit = 100, offset = 0, status } = request.query;
      const view = await viewOf(deps, request, reply);
      const model = await existingModel(view, request.params.model);
      const of = { orgId: view.orgId, modelId: model.id, ...(status === undefined ? {} : { status }) };
      return answerListText(reply, {
        open: '{"versions":[',
        pages: versionPages(deps, view, model.id, await deps.reads.listedVersions(of, { limit, offset })),
        close: () => ']}',
      });
    },
  });

  app.get('/models/:model/versions/latest', {
    config: readsByDevices,
    schema: { tags, params: ModelPath, response: { 200: SdkVersion } },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply);
      const model = await existingModel(view, request.params.model);
      const latest = await existingLatest(view, model.id, model.context);
      return sdkVersion(versionOfState(await existingVersion(view, model, latest)));
    },
  });

  app.get('/models/:model/versions/:version', {
    config: readsByDevices,
    schema: { tags, params: VersionPath, response: { 200: SdkVersion } },
    handler: async (request, reply) => sdkVersion(versionOfState((await versionAt(deps, request, reply)).state)),
  });

  app.post('/models/:model/versions/:version/publish', {
    config: { scope: 'models:write' },
    schema: {
      tags,
      params: VersionPath,
      body: Type.Object({}),
      response: { 200: SdkVersion, 202: SdkVersion },
    },
    handler: async (request, reply) => {
      const { model, state } = await versionAt(deps, request, reply);
      const version = request.params.version;
      if (isUsable(state.state)) return sdkVersion(versionOfState(state));
      await runCommand(deps, request, reply, {}, (commands, caller) =>
        requestPublish(commands, caller, { modelId: model.id, version }),
      );
      const now = async () => existingVersion(await viewOf(deps, request, reply), model, version);
      const ended = await waitUntil(deps.watch, PUBLISH_WAIT_MS, async () => unlessPublishing(await now()));
      if (!ended)
        return reply.code(202).send({ ...sdkVersion(versionOfState(await now())), publishing: true as const });
      if (isUsable(ended.state)) return sdkVersion(versionOfState(ended));
      const { code = 'gate_failed', reason = null } = ended.context.lastRefusal ?? {};
      const why = reason === null ? code : `${code}, ${reason}`;
      throw new LifecycleError('gate_failed', `Publishing ${version} was refused: ${why}.`, {
        more: { refusal: code },
      });
    },
  });

  app.get('/models/:model/versions/:version/download', {
    config: downloads,
    schema: {
      tags,
      description: 'The bytes, or JSON with a link, by caller.',
      params: VersionPath,
      querystring: Type.Object({ format: Type.Optional(Line(200)) }),
      response: {
        200: {
          description: 'Bytes or a link',
          content: {
            'application/json': { schema: DownloadLink },
            'application/octet-stream': { schema: Type.Unknown() },
          },
        },
      },
    },
    handler: async (request, reply) => {
      const { state } = await versionAt(deps, request, reply);
      const file = wantedFile(state, request.query.format ?? 'pytorch', request);
      if (wantsJson(request, request.query.format)) return reply.send(downloadLink(deps, state, file));
      return sendBlob(request, reply, deps, file.sha256, { cache: 'private, no-cache' });
    },
  });

  app.get('/models/:model/versions/:version/download-url', {
    config: downloads,
    schema: {
      tags,
      params: VersionPath,
      querystring: Type.Object({ format: Type.Optional(Line(200)) }),
      response: { 200: DownloadLink },
    },
    handler: async (request, reply) => {
      const { state } = await versionAt(deps, request, reply);
      return downloadLink(deps, state, wantedFile(state, request.query.format ?? 'auto', request));
    },
  });
}

async function versionAt(
  deps: ApiDeps,
  request: FastifyRequest<{ Params: { model: string; version: Semver } }> | VersionRequest,
  reply: FastifyReply,
): Promise<{ model: ModelState & { id: string }; state: Existing<VersionState> }> {
  const view = await viewOf(deps, request, reply);
  const { model, version } = request.params;
  const found = await existingModel(view, model);
  return { model: found, state: await existingVersion(view, found, version) };
}
interface VersionRequest extends FastifyRequest {
  readonly params: { readonly model: string; readonly version: Semver };
}

/** A row that trails its stream is left for the stream, so that an answer never trails a command of the same caller. */
async function* versionPages({ log }: Pick<ApiDeps, 'log'>, view: View, modelId: ModelId, rows: readonly VersionRow[]) {
  for (let i = 0; i < rows.length; i += PAGE) {
    const page = rows.slice(i, i + PAGE);
    const heads = await log.streamVersions(page.map(({ version }) => versionStream(modelId, version)));
    const trails = (row: VersionRow) => heads.get(versionStream(modelId, row.version)) !== row.stream_version;
    const late = page.filter(trails).map(({ version }) => version);
    const folded = new Map(
      (late.length === 0 ? [] : await view.versions(modelId, late)).map(({ state }, n) => [late[n], state]),
    );
    yield page.map((row) => {
      const state = folded.get(row.version);
      return sdkVersion(state && exists(state) ? versionOfState(state) : versionOfRow(row));
    });
  }
}

const unlessPublishing = (state: Existing<VersionState>) => (state.state === 'Trained.publishing' ? undefined : state);

type KnownModel = ModelState & { readonly id: string };

/** Nothing has happened to it since its first fact; or it has a version by now, which its next reader sees. */
const newModel = (model: KnownModel): SdkModel =>
  sdkModel(modelOfState(model.id, model, { latest: null, lifecycle: NO_VERSION }));

async function shownModel(deps: ApiDeps, view: View, model: KnownModel): Promise<SdkModel> {
  const [latest, lifecycle] = await Promise.all([
    latestVersion(view, model.id, model.context),
    deps.reads.newestLifecycle(model.id),
  ]);
  return sdkModel(modelOfState(model.id, model, { latest, lifecycle: lifecycle ?? NO_VERSION }));
}
