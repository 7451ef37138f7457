/** The NDJSON of what takes long: progress as it comes, then the result, or the problem that stopped it. */
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import type { VerifyOptions, VerifyReport } from '../../../audit/verify.ts';
import { lifecycleErrorOf, problemOf } from '../../http/problem.ts';

export type Verify = (options: VerifyOptions) => Promise<VerifyReport>;

interface Running {
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  readonly onProgress: (now: object) => void;
}

/**
 * The lines of `run`, once it has told progress or ended: nothing is sent before, so that one that cannot begin is refused with a
 * status of its own.
 *
 * @param instance path of the request
 * @throws what `run` throws before it has begun
 */
export async function beganLines(
  reply: FastifyReply,
  instance: string,
  run: (running: Running) => Promise<object>,
): Promise<AsyncGenerator<string>> {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  let emit: (now: object) => void = () => undefined;
  let begin = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const running = run({
    signal: gone.signal,
    onProgress: (now) => {
      begin();
      emit(now);
    },
  });
  await Promise.race([begun, running]);
  return progressLines(instance, (onProgress) => {
    emit = onProgress;
    return running;
  });
}

/** Its connection ends with it: one that idles afterwards would hold up a server that is being stopped. */
export function sendLines(reply: FastifyReply, lines: AsyncGenerator<string>): FastifyReply {
  const headers = { 'cache-control': 'no-store', connection: 'close' };
  return reply.type('application/x-ndjson').headers(headers).send(Readable.from(lines));
}

/** Ends after one `{result}` or `{error}`; between them, at most the newest progress waits. `instance` is the path of the request. */
async function* progressLines(
  instance: string,
  run: (onProgress: (now: object) => void) => Promise<object>,
): AsyncGenerator<string> {
  let progress: object | undefined;
  let wake = () => {};
  let end: string | undefined;
  const finish = (line: object) => {
    end = `${JSON.stringify(line)}\n`;
    wake();
  };
  void run((now) => {
    progress = now;
    wake();
  }).then(
    (result) => finish({ result }),
    (error: unknown) => finish({ error: problemOf(lifecycleErrorOf(error), { base: '', instance, requestId: '' }) }),
  );
  while (end === undefined) {
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (progress || end !== undefined) resolve();
    });
    if (progress) yield `${JSON.stringify({ progress })}\n`;
    progress = undefined;
  }
  yield end;
}
