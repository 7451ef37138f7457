/** The NDJSON of an audit: progress as it comes, then the result, or the problem that stopped it. */
import type { VerifyOptions, VerifyReport } from '../../audit/verify.ts';
import { lifecycleErrorOf, problemOf } from '../http/problem.ts';

export type Verify = (options: VerifyOptions) => Promise<VerifyReport>;

/** Ends after one `{result}` or `{error}`; between them, at most the newest progress waits. */
export async function* auditLines(
  verify: Verify,
  { fast, signal }: { readonly fast: boolean; readonly signal: AbortSignal },
): AsyncGenerator<string> {
  let progress: object | undefined;
  let wake = () => {};
  let end: string | undefined;
  void verify({
    fast,
    signal,
    onProgress: (now) => {
      progress = now;
      wake();
    },
  }).then(
    (report) => finish({ result: report }),
    (error: unknown) => {
      const about = { base: '', instance: '/lifecycle/v1/audit/verify', requestId: '' };
      finish({ error: problemOf(lifecycleErrorOf(error), about) });
    },
  );
  const finish = (line: object) => {
    end = `${JSON.stringify(line)}\n`;
    wake();
  };
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
