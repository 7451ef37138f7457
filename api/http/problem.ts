/** The one error body of both APIs, and how faults of the framework become ours. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, Fatal, LifecycleError, type ErrorCode, type ErrorEvidence } from '../../domain/errors.ts';
import { printable } from '../../domain/hash/soundJson.ts';
import { cutText } from '../../domain/text.ts';
import { isBusy, isConnectionLost, isDataRefused } from '../../store/connect.ts';
import { UndecodableFact } from '../../store/log/rows.ts';
import type { Problem } from '../../wire/common.ts';

export const OWN_PREFIX = '/lifecycle/v1';
/** By the route that was found: a path may be spelled with escapes. */
export const isLifecycleApi = (request: FastifyRequest) => isOwnPath(request.routeOptions.url ?? request.url);
const isOwnPath = (path: string) => path.startsWith(OWN_PREFIX);
/** Media type of errors at a path. */
export const mediaTypeFor = (path: string) => (isOwnPath(path) ? 'application/problem+json' : 'application/json');

/** Code points of a `detail`: it may quote what was sent, which may be long. */
const DETAIL_MOST = 2_000;
const INSTANCE_MOST = 500;

/** RFC 9457 body of `error`, as it is sent. `base` is the public URL: `type` resolves to a page per code. */
export function problemOf(
  error: LifecycleError,
  about: { base: string; instance: string; requestId: string },
): Problem {
  const { code, evidence, row } = error;
  // Some SDKs retry a 404 whose detail is exactly this text.
  const detail =
    error.message === 'Not Found' ? 'There is nothing here.' : printable(cutText(error.message, DETAIL_MOST));
  return {
    type: `${about.base}/errors/${code}`,
    title: row.title,
    status: row.status,
    status_code: row.status,
    detail,
    message: detail,
    code,
    instance: cutText(about.instance, INSTANCE_MOST),
    request_id: about.requestId,
    retryable: row.retryable,
    ...(evidence.state === undefined ? {} : { state: evidence.state }),
    ...(evidence.command === undefined ? {} : { command: evidence.command }),
    ...(evidence.errors ? { errors: evidence.errors.map((e) => ({ ...e })) } : {}),
    ...(evidence.guards ? { guards: evidence.guards.map((g) => ({ ...g })) } : {}),
    ...(evidence.more ?? {}),
  };
}

/** What the caller is told of anything thrown. Only `LifecycleError` was meant for them. */
export function lifecycleErrorOf(error: unknown): LifecycleError {
  if (error instanceof LifecycleError) return error;
  if (error instanceof Fatal) {
    return unavailable(`${error.message}. Whether it was stored is unknown: the same request again finds out.`);
  }
  if (isDataRefused(error)) {
    return new LifecycleError(
      'invalid_input',
      'The database cannot hold a value of this request.',
      {},
      { cause: error },
    );
  }
  if (isConnectionLost(error)) return unavailable('Postgres does not answer.');
  if (error instanceof UndecodableFact) return new LifecycleError('stream_diverged', `${error.message}.`);
  if (isBusy(error)) return unavailable('Postgres did not answer in time.');
  const framework = frameworkError(error);
  return (
    framework ?? new LifecycleError('server_error', 'Something failed on our side.', { more: { appended: 'unknown' } })
  );
}

const unavailable = (detail: string) =>
  new LifecycleError('unavailable', `${detail} Try again shortly.`, {
    retry_after_s: 2,
    more: { appended: 'unknown' },
  });

/** Characters of a parameter in the path: the longest name, its letters and accents apart. */
export const PARAM_MOST = 1_300;

const BY_FRAMEWORK_CODE: Readonly<
  Record<string, { code: ErrorCode; detail: string; errors?: ErrorEvidence['errors'] }>
> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'payload_too_large', detail: 'The body is larger than this route takes.' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'unsupported_media_type', detail: 'Send application/json.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'body_incomplete',
    detail: 'The body is not as long as Content-Length says.',
  },
  FST_ERR_BAD_URL: {
    code: 'malformed_request',
    detail: 'The path has a percent sign that begins no UTF-8 character. Write "%25" for the sign itself.',
  },
  FST_ERR_MAX_PARAM_LENGTH: {
    code: 'invalid_input',
    detail: `A part of the path is longer than ${PARAM_MOST} characters.`,
    errors: [{ pointer: '/params', detail: `a part is longer than ${PARAM_MOST} characters` }],
  },
  ECONNRESET: { code: 'body_incomplete', detail: 'The body ended before Content-Length.' },
};

function frameworkError(error: unknown): LifecycleError | undefined {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = BY_FRAMEWORK_CODE[code];
  if (known) return new LifecycleError(known.code, known.detail, known.errors ? { errors: known.errors } : {});
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 400 && error instanceof Error) return new LifecycleError('malformed_request', `${error.message}.`);
  return undefined;
}

export const isServerFault = (error: LifecycleError) => ERRORS[error.code].status >= 500;

/** Fastify's error handler. Answers the problem body, in the media type of the API. */
export function createErrorHandler(base: string) {
  return (error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply) => {
    const known = lifecycleErrorOf(error);
    // What is not offered is no fault: it says which calls are asked for.
    if (known.code === 'not_implemented') request.log.info({ code: known.code, detail: known.message }, 'not offered');
    else if (isServerFault(known)) request.log.error({ err: error, code: known.code }, 'the request failed');
    return sendProblem(request, reply, known, base);
  };
}

/** Value of `EdgeML-Retry`. */
export const retryWindow = ([min, max]: readonly [min: number, max: number]) => `min=${min},max=${max}`;

/** Sends `error` with what belongs to it: status, `Retry-After`, `EdgeML-Retry`, `WWW-Authenticate`. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: LifecycleError, base: string) {
  const { status } = error.row;
  const instance = request.url.split('?')[0]!;
  const body = problemOf(error, { base, instance, requestId: request.id });
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="edgeml"');
  if (status === 503 || status === 429) reply.header('retry-after', String(error.evidence.retry_after_s ?? 2));
  if (error.evidence.retry_ms) reply.header('edgeml-retry', retryWindow(error.evidence.retry_ms));
  if (status >= 500 && body.appended === undefined) body.appended = false;
  return reply
    .code(status)
    .type(isLifecycleApi(request) ? mediaTypeFor(OWN_PREFIX) : mediaTypeFor('/'))
    .send(body);
}
