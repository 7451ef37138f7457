/** Fifty connections that ask one after the other, each its own requests in turn, and a check of every answer. */
import autocannon from 'autocannon';
import type { Asked } from './caller.ts';
import { check } from './report.ts';

export interface Loaded {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly key: string;
  readonly seconds: number;
  /** The requests of one connection, which it repeats. */
  readonly asks: (connection: number) => readonly Asked[];
  /** Whether an answer is right: its body. */
  readonly isRight: (body: string) => boolean;
}

export const CONNECTIONS = 50;

/** @throws Error for an answer that is wrong, has another status than 2xx, or does not come */
export async function load({ url, key, seconds, asks, isRight }: LoadOptions): Promise<Loaded> {
  let made = 0;
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    verifyBody: (body) => isRight(String(body)),
    setupClient(client) {
      const nth = made++;
      client.setRequests(
        asks(nth).map(({ method, path, body }, i) => ({
          method,
          path,
          headers: {
            authorization: `Bearer ${key}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(method === 'POST' ? { 'idempotency-key': `bench-${process.pid}-${Date.now()}-${nth}-${i}` } : {}),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })),
      );
    },
  });
  const { errors, timeouts, non2xx, mismatches, requests, latency } = result;
  check(errors + timeouts + non2xx + mismatches === 0, JSON.stringify({ errors, timeouts, non2xx, mismatches }));
  check(requests.total > 0, 'nothing was answered');
  return { perSecond: requests.average, p50Ms: latency.p50, p99Ms: latency.p99 };
}
