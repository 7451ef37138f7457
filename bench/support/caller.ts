/** Calls of the stack that a benchmark has started, by its admin. */
import { check } from './report.ts';

export interface Asked {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

/** The answer's JSON. @throws Error for any status but 2xx */
export const callerOf =
  (url: string, key: string) =>
  async <T>({ method, path, body }: Asked): Promise<T> => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': `bench-${path}-${performance.now()}`,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    check(response.ok, `${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text) as T; // what the routes document
  };
