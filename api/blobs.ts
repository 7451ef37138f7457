/** Bytes by their SHA-256: up with a key, down with a key or with a signed link. Streamed both ways, never held whole. */
import type { Sha256 } from '../domain/brands.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { LifecycleError } from '../domain/errors.ts';
import { identify } from './access/bearer.ts';
import { authorize, whoAsks } from './access/principal.ts';
import type { App } from './app.ts';
import type { ApiDeps } from './context.ts';
import { isNotModified } from './http/conditional.ts';
import { rangeOf } from './http/range.ts';
import { closed, Line, Sha256Text } from '../wire/common.ts';
import { Blob } from '../wire/version.ts';

const BlobParams = Type.Object({ sha256: Sha256Text }, closed);
const Signed = Type.Object(
  {
    exp: Type.Optional(Line(20)),
    name: Type.Optional(Line(300)),
    kid: Type.Optional(Line(10)),
    sig: Type.Optional(Line(100)),
  },
  closed,
);
const FOR_EVER = 'max-age=31536000, immutable';

/** GET and HEAD; mounted at the root, where signed links point, and on the Lifecycle API. */
export function blobReads(app: App, deps: ApiDeps): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/blobs/:sha256',
    config: { scope: 'none' },
    schema: {
      tags: ['blobs'],
      description:
        'With a signed link, or with a key of scope artifacts:read whose organisation uploaded or made the bytes. One range; ETag is the SHA-256.',
      params: BlobParams,
      querystring: Signed,
      response: {
        200: { description: 'The bytes', content: { 'application/octet-stream': { schema: Type.Unknown() } } },
        206: { description: 'A range of them', content: { 'application/octet-stream': { schema: Type.Unknown() } } },
      },
    },
    handler: async (request, reply) => {
      const { sha256 } = request.params;
      const isSigned = request.query.sig !== undefined;
      if (isSigned) deps.links.verify(sha256, request.query, Date.now());
      else await admitByKey(request, deps, sha256);
      // Who has the link may open it, and so may a cache between; what a key opens is for that key's holder alone.
      const cache = `${isSigned ? 'public' : 'private'}, ${FOR_EVER}`;
      return sendBlob(request, reply, deps, sha256, { cache, name: request.query.name });
    },
  });
}

/** A hash alone opens nothing. @throws LifecycleError `blob_unknown`, also for bytes that only another organisation has */
async function admitByKey(request: FastifyRequest, deps: ApiDeps, sha256: Sha256): Promise<void> {
  const principal = await identify(request, deps.deviceAuth, deps.keys);
  authorize(principal, 'artifacts:read');
  if (!(await deps.commands.grants.has(principal.orgId, sha256))) throw unknownBlob(sha256);
}

const unknownBlob = (sha256: Sha256) =>
  new LifecycleError('blob_unknown', `No bytes with SHA-256 ${sha256} are stored.`);

/** @throws LifecycleError `blob_unknown`, `bad_range` */
export async function sendBlob(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Pick<ApiDeps, 'blobs'>,
  sha256: Sha256,
  { cache, name }: { readonly cache: string; readonly name?: string | undefined },
): Promise<FastifyReply> {
  const blob = await deps.blobs.stat(sha256);
  if (!blob) throw unknownBlob(sha256);
  reply
    .header('accept-ranges', 'bytes')
    .header('cache-control', cache)
    .header('x-checksum-sha256', sha256)
    .header('repr-digest', `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`);
  const etag = `"${sha256}"`;
  if (isNotModified(request, reply, etag)) return reply.code(304).send();
  if (name) reply.header('content-disposition', `attachment; filename="${name.replace(/[^\w.@+-]/g, '_')}"`);
  const range = rangeOf(request, reply, blob.bytes, etag);
  reply
    .type('application/octet-stream')
    .header('content-length', String(range ? range.end - range.start + 1 : blob.bytes));
  if (range) reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${blob.bytes}`);
  if (request.method === 'HEAD') return reply.send();
  return reply.send(blob.bytes === 0 ? Buffer.alloc(0) : await deps.blobs.get(sha256, range));
}

const tooLarge = (max: number) =>
  new LifecycleError('payload_too_large', `At most ${max} bytes are taken here.`, { more: { max } });

/** PUT. Its own parser: any media type is taken as bytes and streamed. */
export async function blobWrites(app: App, deps: ApiDeps): Promise<void> {
  await app.register((scoped: App) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scoped.put('/blobs/:sha256', {
      bodyLimit: deps.maxUploadBytes,
      config: { scope: 'artifacts:write', upload: true },
      schema: {
        tags: ['blobs'],
        description: 'Idempotent: the same bytes again are 200.',
        consumes: ['application/octet-stream'],
        params: BlobParams,
        response: { 200: Blob, 201: Blob },
      },
      handler: async (request, reply) => {
        const { sha256 } = request.params;
        const { orgId } = whoAsks(request);
        const isKnown = await deps.commands.grants.has(orgId, sha256);
        const max = deps.maxUploadBytes;
        const blob = await deps.uploads.receive(request, reply, max, ({ length, open }) => {
          if (length !== null && length > max) throw tooLarge(max);
          return deps.blobs.put(open(), { max, sha256 });
        });
        await deps.commands.grants.grant(orgId, [sha256]);
        reply.code(isKnown ? 200 : 201).header('etag', `"${sha256}"`);
        return { ...blob };
      },
    });
    return Promise.resolve();
  });
}
