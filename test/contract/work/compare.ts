/** The work of every route at two sizes of the log: what may not grow does not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../support/log.ts';
import { openTwoOrgs, type TwoOrgs } from '../orgs/twoOrgs.ts';
import { routesOf, type Route } from '../routes.ts';
import { asksOf, LINES, type Ask } from './asks.ts';
import { grow, type Size } from './grow.ts';
import { openMeter, throughApiHost, type Meter, type Work } from './meter.ts';

/** A page or a write may fall on either side of one. */
const FACTOR = 1.5;
const SLACK = 6;

/** Statements that may read a table whole: a part of their text, and why. */
const MAY_SCAN: readonly { readonly text: string; readonly why: string }[] = [
  { text: 'SELECT count(*)::int AS n FROM store.events', why: 'asked by the test itself, while it lets the log grow' },
];

interface Measured extends Work {
  readonly status: number;
}

/** Declares the tests. @param small what the larger one is held against */
export function describeWork(small: Size, large: Size): void {
  let two: TwoOrgs;
  let meter: Meter;
  let routes: readonly Route[];
  beforeAll(async () => {
    two = await openTwoOrgs(throughApiHost);
    meter = await openMeter(two.t.adminUrl);
    routes = await routesOf(two.t);
    await grow(two.t, { models: 0, versions: 0, rollouts: 0 }, small);
  }, 600_000);
  afterAll(async () => {
    await meter.close();
    await two.t.close();
  });

  async function ask(method: string, { path, options }: Ask): Promise<number> {
    const json = options.body === undefined ? {} : { 'content-type': 'application/json' };
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    const key = { authorization: `Bearer ${two.t.secretOf('admin')}`, 'idempotency-key': crypto.randomUUID() };
    const headers = { ...key, ...json, ...options.headers };
    const response = await fetch(two.t.url + path, { method, headers, ...(body === undefined ? {} : { body }) });
    await response.arrayBuffer();
    return response.status;
  }

  /** Each ask twice: the first one warms what is kept in memory, and brings what it commands about. */
  async function all(): Promise<Map<string, Measured & { readonly mayGrow: string | undefined }>> {
    const found = new Map<string, Measured & { readonly mayGrow: string | undefined }>();
    await meter.analyze();
    // The counters of /metrics follow the log in pages, also after a scrape that did not wait for them.
    const scrape = () => fetch(`${two.t.url}/metrics`).then((answer) => answer.text());
    await until('the counters have caught up', async () => (await meter.measure(scrape)).rows < 100, 120_000);
    for (const { method, url } of routes) {
      for (const one of asksOf(two, method, url)) {
        await ask(method, one);
        let status = 0;
        const work = await meter.measure(async () => (status = await ask(method, one)));
        found.set(one.name, { status, ...work, mayGrow: one.mayGrow });
      }
    }
    return found;
  }

  describe(`at ${small.models} and at ${large.models} models`, () => {
    it('every route is asked, or its line says why it is not', () => {
      const names = routes.map(({ method, url }) => `${method} ${url}`);
      const unknown = routes.filter((route) => !route.isBare && !LINES[`${route.method} ${route.url}`]);
      expect(unknown.map(({ method, url }) => `${method} ${url}`)).toEqual([]);
      expect(Object.keys(LINES).filter((name) => !names.includes(name))).toEqual([]);
    });

    it('each request has the same work', { timeout: 900_000 }, async () => {
      // What commands bring about they bring about here.
      for (const { method, url } of routes) for (const one of asksOf(two, method, url)) await ask(method, one);
      const before = await all();
      await grow(two.t, small, large);
      const after = await all();
      const faults: string[] = [];
      for (const [name, now] of after) {
        const then = before.get(name)!;
        if (then.status !== now.status) faults.push(`${name}: ${then.status}, then ${now.status}`);
        if (now.mayGrow !== undefined) continue;
        for (const of of ['statements', 'rows'] as const) {
          if (now[of] > then[of] * FACTOR + SLACK) faults.push(`${name}: ${of} ${then[of]}, then ${now[of]}`);
        }
      }
      expect(faults).toEqual([]);
      // The meter hears: a list that is read is rows that are read.
      expect(after.get('GET /lifecycle/v1/models')!.rows).toBeGreaterThan(50);
      expect(after.get('GET /api/v1/models')!.rows).toBeGreaterThan(large.models);
    });

    it('no statement reads a large table whole, under its generic plan or the plan for its values', async () => {
      await meter.analyze();
      const { explained, faults } = await meter.scans();
      expect(faults.filter((fault) => !MAY_SCAN.some(({ text }) => fault.includes(text)))).toEqual([]);
      expect(explained).toBeGreaterThan(100);
    });
  });
}
