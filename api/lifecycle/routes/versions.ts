/** `/models/{m}/versions`: drafting, bytes made elsewhere, publishing. */
import type { Semver, Sha256 } from '../../../domain/brands.ts';
import Type from 'typebox';
import { cancelPublish } from '../../../commands/cancelPublish.ts';
import { draftVersion } from '../../../commands/draftVersion.ts';
import { requestPublish } from '../../../commands/requestPublish.ts';
import { uploadArtifact } from '../../../commands/uploadArtifact.ts';
import { publishProcess } from '../../../domain/events/processes.ts';
import { versionStream } from '../../../domain/events/streams.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { mediaTypeOf } from '../../../domain/formats/fileFormats.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import { runCommand } from '../../command.ts';
import type { ApiDeps } from '../../context.ts';
import { etagOfBody, unlessKnown } from '../../http/conditional.ts';
import { OWN_PREFIX } from '../../http/problem.ts';
import { existingModel, existingVersion, viewOf } from '../../reading.ts';
import { answerPage, pageRequestOf } from '../../lists.ts';
import { AsOfQuery, closed, CommandQuery, PageQuery } from '../../../wire/common.ts';
import { OperationCommanded } from '../../../wire/operation.ts';
import {
  AttachArtifact,
  CancelPublish,
  DraftVersion,
  LifecycleState,
  Publish,
  Version,
  VersionCommanded,
  VersionPage,
} from '../../../wire/version.ts';
import { summaryView, versionView } from '../views/version.ts';
import { commandAnswer, creationAnswer, entityAnswer } from './answers.ts';
import { answerOperation } from './operations.ts';
import { ModelParams, VersionParams } from './params.ts';

const tags = ['versions'];

export function versionRoutes(app: App, deps: ApiDeps): void {
  app.get('/models/:model/versions', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      params: ModelParams,
      querystring: Type.Object({ ...PageQuery, ...AsOfQuery, lifecycle_state: Type.Optional(LifecycleState) }, closed),
      response: { 200: VersionPage },
    },
    handler: async (request, reply) => {
      const { lifecycle_state, ...query } = request.query;
      const page = await pageRequestOf(deps, request, query, 'versions');
      const view = await viewOf(deps, request, reply, query.as_of);
      const { id: modelId } = await existingModel(view, request.params.model);
      const filter = {
        orgId: view.orgId,
        modelId,
        ...(lifecycle_state === undefined ? {} : { lifecycleState: lifecycle_state }),
      };
      return answerPage(deps, request, reply, await deps.reads.versions(filter, page), summaryView);
    },
  });

  app.post('/models/:model/versions', {
    config: { scope: 'models:write' },
    schema: {
      tags,
      params: ModelParams,
      body: DraftVersion,
      querystring: CommandQuery,
      response: creationAnswer(VersionCommanded),
    },
    handler: async (request, reply) => {
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { id: modelId } = model;
      const { version } = request.body;
      const about = { stream: versionStream(modelId, version) };
      const { outcome, ...done } = await runCommand(deps, request, reply, about, (commands, caller) =>
        draftVersion(commands, caller, { modelId, ...request.body }),
      );
      reply.code(outcome.outcome === 'appended' ? 201 : 200);
      return { ...(await current(deps, request, reply, model, version)), ...done };
    },
  });

  app.get('/models/:model/versions/:version', {
    config: { scope: 'models:read' },
    schema: {
      tags,
      params: VersionParams,
      querystring: Type.Object(AsOfQuery, closed),
      response: entityAnswer(Version),
    },
    handler: async (request, reply) => {
      const view = await viewOf(deps, request, reply, request.query.as_of);
      const model = await existingModel(view, request.params.model);
      const version = await existingVersion(view, model, request.params.version);
      const shown = versionView(version);
      return unlessKnown(request, reply, shown);
    },
  });

  app.post('/models/:model/versions/:version/artifact', {
    config: { scope: 'artifacts:write' },
    schema: {
      tags,
      description: 'Blobs that are stored already become the files of a version.',
      params: VersionParams,
      body: AttachArtifact,
      querystring: CommandQuery,
      response: commandAnswer(VersionCommanded),
    },
    handler: async (request, reply) => {
      const { version } = request.params;
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { id: modelId } = model;
      const files = await Promise.all(request.body.files.map((file, i) => stored(deps, request, file, i)));
      const about = { stream: versionStream(modelId, version) };
      const { events, position } = await runCommand(deps, request, reply, about, (commands, caller) =>
        uploadArtifact(commands, caller, { modelId, version, files }),
      );
      return { ...(await current(deps, request, reply, model, version)), events, position };
    },
  });

  app.post('/models/:model/versions/:version/publish', {
    config: { scope: 'models:write' },
    schema: {
      tags,
      description: '202 while it is converted and checked; 200 once it is published.',
      params: VersionParams,
      body: Publish,
      querystring: CommandQuery,
      response: { ...commandAnswer(OperationCommanded), 202: OperationCommanded },
    },
    handler: async (request, reply) => {
      const { version } = request.params;
      const { id: modelId } = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const about = { stream: versionStream(modelId, version) };
      const { outcome, events } = await runCommand(deps, request, reply, about, (commands, caller) =>
        requestPublish(commands, caller, { modelId, version, ...request.body }),
      );
      return answerOperation(deps, request, reply, publishProcess(modelId, version, outcome.n), events);
    },
  });

  app.post('/models/:model/versions/:version/publish/cancel', {
    config: { scope: ['models:write', 'rollouts:halt'], stop: true },
    schema: {
      tags,
      description: 'Ends the publication that runs; the version is Trained, and may be published again.',
      params: VersionParams,
      body: CancelPublish,
      querystring: CommandQuery,
      response: commandAnswer(VersionCommanded),
    },
    handler: async (request, reply) => {
      const { version } = request.params;
      const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
      const { id: modelId } = model;
      const about = { stream: versionStream(modelId, version) };
      const { events, position } = await runCommand(deps, request, reply, about, (commands, caller) =>
        cancelPublish(commands, caller, { modelId, version, reason: request.body.reason }),
      );
      return { ...(await current(deps, request, reply, model, version)), events, position };
    },
  });
}

async function current(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  model: Parameters<typeof existingVersion>[1],
  version: Semver,
) {
  const view = await viewOf(deps, request, reply);
  const shown = versionView(await existingVersion(view, model, version));
  reply.header('etag', etagOfBody(shown));
  return shown;
}

/** @throws LifecycleError `blob_unknown` */
async function stored(
  deps: ApiDeps,
  request: FastifyRequest,
  file: { format: string; sha256: Sha256; media_type?: string },
  index: number,
) {
  const isOurs = await deps.commands.grants.has(whoAsks(request).orgId, file.sha256);
  const blob = isOurs ? await deps.blobs.stat(file.sha256) : undefined;
  if (!blob) {
    const detail = `No bytes with SHA-256 ${file.sha256} are stored. PUT them to ${OWN_PREFIX}/blobs/${file.sha256} first.`;
    throw new LifecycleError('blob_unknown', detail, { errors: [{ pointer: `/files/${index}/sha256`, detail }] });
  }
  return {
    format: file.format,
    sha256: file.sha256,
    bytes: blob.bytes,
    media_type: file.media_type ?? mediaTypeOf(file.format),
  };
}
