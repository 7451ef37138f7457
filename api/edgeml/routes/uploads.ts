/** C08: a model file as existing SDKs upload it, in one form. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { checkVersion } from '../../../commands/draftVersion.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { acceptUpload } from '../../acceptUpload.ts';
import { readForm, requireForm } from '../../http/multipart.ts';
import { existingModel, existingVersion, viewOf } from '../../reading.ts';
import { warned } from '../../warnings.ts';
import { ModelRef } from '../../../wire/common.ts';
import { SdkVersion } from '../schemas.ts';
import { sdkVersion, versionOfState } from '../views.ts';

const NOT_READ = ['formats', 'architecture', 'input_dim', 'hidden_dim', 'output_dim'];
/** Beside the file: boundaries, headers and fields. */
const FORM_BYTES = 1024 * 1024;

/** A parser of its own: the form is read as it comes. */
export function uploadRoutes(app: App, deps: ApiDeps): void {
  void app.register((scoped: App) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scoped.post('/models/:model/versions/upload', {
      config: { scope: 'artifacts:write', upload: true },
      schema: {
        tags: ['sdk: models'],
        description:
          'A form with `version` and `file`: a state_dict (.pt), safetensors or ONNX, told by its bytes. The same bytes again are 200, other ' +
          'bytes of a stored format 409; a second kind joins a version that is not published.',
        consumes: ['multipart/form-data'],
        params: Type.Object({ model: ModelRef }),
        response: { 200: SdkVersion, 201: SdkVersion },
      },
      handler: async (request, reply) => {
        const model = await existingModel(await viewOf(deps, request, reply), request.params.model);
        const max = deps.maxUploadBytes;
        return deps.uploads.receive(request, reply, max + FORM_BYTES, async ({ length, open }) => {
          const type = request.headers['content-type'];
          requireForm(type);
          if (length !== null && length > max + FORM_BYTES)
            throw new LifecycleError('payload_too_large', `At most ${max} bytes are taken here.`, { more: { max } });
          const { fields, file } = await readForm(type ?? '', open(), 'file', (bytes) =>
            deps.blobs.spool(bytes, { max }),
          );
          try {
            const version = fields.get('version');
            if (version === undefined) throw missing('version');
            checkVersion(version);
            if (!file) throw missing('file');
            const done = await acceptUpload(deps, request, reply, { modelId: model.id, version, spooled: file });
            const state = await existingVersion(await viewOf(deps, request, reply), model, version);
            reply.code(done.outcome.outcome === 'appended' ? 201 : 200);
            return { ...sdkVersion(versionOfState(state)), ...warned(unread(fields)) };
          } finally {
            await file?.discard();
          }
        });
      },
    });
    return Promise.resolve();
  });
}

const missing = (name: string) =>
  new LifecycleError('invalid_input', `/${name} is missing.`, {
    errors: [{ pointer: `/${name}`, detail: 'is missing' }],
  });

/** Members that SDKs send and this release does not use: said, so that nobody waits for what they would do. */
const unread = (fields: ReadonlyMap<string, string>): string[] => {
  const sent = NOT_READ.filter((name) => fields.has(name));
  return sent.length === 0
    ? []
    : [`${sent.join(', ')}: not read. A model declares its architecture: POST /lifecycle/v1/models.`];
};
