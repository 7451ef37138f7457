/** Requests that never reach a route: the router or Node's parser refuses them. They get the body that every error has. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { LifecycleError } from '../../domain/errors.ts';
import { lifecycleErrorOf, mediaTypeFor, problemOf, sendProblem } from './problem.ts';
import { pathOf } from './wellFormed.ts';

/** A path that cannot be decoded, or a part of it that is too long. */
export function answerRouterFault(base: string) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    reply.header('x-request-id', request.id);
    sendProblem(request, reply, lifecycleErrorOf(error), base);
  };
}

/** What Node's parser, or its clock, had against the bytes on a connection. */
function faultOf(code: string | undefined): LifecycleError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new LifecycleError('headers_too_large', 'The URL and the headers together are larger than 16 KiB.');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new LifecycleError('request_timeout', 'The request did not arrive whole in time.');
  }
  return new LifecycleError(
    'malformed_request',
    `The bytes sent are not an HTTP request (${code ?? 'no reason given'}).`,
  );
}

/** The target in the first line of what was read; `/` if there is none. */
function targetIn(packet: unknown): string {
  const line = Buffer.isBuffer(packet) ? packet.subarray(0, 2_000).toString('latin1') : '';
  const target = /^[A-Z]+ ([\x21-\x7e]+)/.exec(line)?.[1];
  return target === undefined ? '/' : pathOf(target).split('?')[0]!;
}

/** Writes the answer to the connection itself, and ends it: there is no request that a reply could belong to. */
function answerOn(socket: Duplex, error: LifecycleError, target: string, base: string): void {
  const requestId = `req_${randomUUID()}`;
  const body = JSON.stringify(problemOf(error, { base, instance: target, requestId }));
  const head = [
    `HTTP/1.1 ${error.row.status} ${error.row.title}`,
    `content-type: ${mediaTypeFor(target)}; charset=utf-8`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Bytes that are no request, headers without end, and a request that stays away. */
export function answerClientError(base: string) {
  return (error: Error & { readonly code?: string; readonly rawPacket?: unknown }, socket: Duplex): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    answerOn(socket, faultOf(error.code), targetIn(error.rawPacket), base);
  };
}

/** What Node answers by itself without a body: an expectation that it does not know, and CONNECT. */
export function answerByUs(server: Server, base: string): void {
  // RFC 9110 section 10.1.1: a server may go on as if the expectation were not there.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', (_request, socket) => {
    answerOn(socket, new LifecycleError('route_not_found', 'There is no CONNECT here. See /openapi.json.'), '/', base);
  });
}
