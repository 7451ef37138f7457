/** Bytes by their SHA-256: up with a key, down with a key or with a signed link. Streamed both ways, never held whole. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';
import Type from 'typebox';
import { LifecycleError } from '../../domain/errors.ts';
import { authenticate, authorize } from '../access/principal.ts';
import type { SignedQuery } from '../access/links.ts';
import type { App } from '../app.ts';
import type { ApiDeps } from '../context.ts';
import { isNotModified } from '../http/conditional.ts';
import { rangeOf } from '../http/range.ts';
import { closed } from '../schemas/common.ts';
import { Blob } from '../schemas/version.ts';
import { BlobParams } from './own/params.ts';

const Signed = Type.Object(
  {
    exp: Type.Optional(Type.String({ maxLength: 20 })),
    name: Type.Optional(Type.String({ maxLength: 300 })),
    kid: Type.Optional(Type.String({ maxLength: 10 })),
    sig: Type.Optional(Type.String({ maxLength: 100 })),
  },
  closed,
);
const FOR_EVER = 'public, max-age=31536000, immutable';

/** GET and HEAD; mounted at the root, where signed links point, and on the own door. */
export function blobReads(app: App, deps: ApiDeps): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/blobs/:sha256',
    config: { scope: 'none' },
    schema: {
      tags: ['blobs'],
      description: 'With a signed link, or with a key of scope artifacts:read. One range; ETag is the SHA-256.',
      params: BlobParams,
      querystring: Signed,
      response: {
        200: { description: 'The bytes', content: { 'application/octet-stream': { schema: Type.Unknown() } } },
        206: { description: 'A range of them', content: { 'application/octet-stream': { schema: Type.Unknown() } } },
      },
    },
    handler: async (request, reply) => {
      await admit(request, deps, request.params.sha256, request.query);
      return sendBlob(request, reply, deps, request.params.sha256, { cache: FOR_EVER, name: request.query.name });
    },
  });
}

async function admit(request: FastifyRequest, deps: ApiDeps, sha256: string, query: SignedQuery): Promise<void> {
  if (query.sig !== undefined) return deps.links.verify(sha256, query, Date.now());
  authorize(await authenticate(request, deps.keys), 'artifacts:read');
}

/** @throws LifecycleError `blob_unknown`, `bad_range` */
export async function sendBlob(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Pick<ApiDeps, 'blobs'>,
  sha256: string,
  { cache, name }: { readonly cache: string; readonly name?: string | undefined },
): Promise<FastifyReply> {
  const blob = await deps.blobs.stat(sha256);
  if (!blob) throw new LifecycleError('blob_unknown', `No bytes with SHA-256 ${sha256} are stored.`);
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

/** PUT. Its own parser: any media type is taken as bytes and streamed. */
export async function blobWrites(app: App, deps: ApiDeps): Promise<void> {
  await app.register((scoped: App) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scoped.put('/blobs/:sha256', {
      bodyLimit: deps.maxUploadBytes,
      config: { scope: 'artifacts:write' },
      schema: {
        tags: ['blobs'],
        description: 'Idempotent: the same bytes again are 200.',
        consumes: ['application/octet-stream'],
        params: BlobParams,
        response: { 200: Blob, 201: Blob },
      },
      handler: async (request, reply) => {
        const { sha256 } = request.params;
        const known = await deps.blobs.stat(sha256);
        const source = (request.body ?? Buffer.alloc(0)) as Readable | Buffer; // the parser above passes the raw stream on
        const blob = await deps.blobs.put(source, { max: deps.maxUploadBytes, sha256 });
        reply.code(known ? 200 : 201).header('etag', `"${sha256}"`);
        return { ...blob };
      },
    });
    return Promise.resolve();
  });
}
