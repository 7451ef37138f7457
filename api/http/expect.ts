/** `Expect: 100-continue` (RFC 9110 section 10.1.1): who asks before it sends a body is told to go on once its body is wanted. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { App } from '../app.ts';

const continued = new WeakSet<IncomingMessage>();
const asks = ({ headers, httpVersion }: IncomingMessage) =>
  httpVersion === '1.1' && headers.expect?.toLowerCase() === '100-continue';

/** Whether the body stays away: the client asked first, and was not told to go on. */
export const isHeldBack = (request: FastifyRequest): boolean => asks(request.raw) && !continued.has(request.raw);

/** Before the first byte of a body is read. */
export function goOn(request: FastifyRequest, reply: FastifyReply): void {
  if (!isHeldBack(request)) return;
  continued.add(request.raw);
  reply.raw.writeContinue();
}

/** A route with `upload` calls {@link goOn} itself; every other one reads its body as soon as its key is good. */
export function answerExpectations(app: App): void {
  app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response));
  app.addHook('preParsing', (request, reply, _payload, done) => {
    if (request.routeOptions.config.upload !== true) goOn(request, reply);
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    // What comes next on the connection may be the body or another request: nobody can tell.
    if (isHeldBack(request)) reply.header('connection', 'close');
    done();
  });
}
