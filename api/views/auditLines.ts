/** The NDJSON of what takes long: progress as it comes, then the result, or the problem that stopped it. */
import type { VerifyOptions, VerifyReport } from '../../audit/verify.ts';
import { lifecycleErrorOf, problemOf } from '../http/problem.ts';

export type Verify = (options: VerifyOptions) => Promise<VerifyReport>;

/** Ends after one `{result}` or `{error}`; between them, at most the newest progress waits. `instance` is the path of the request. */
export async function* progressLines(
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
