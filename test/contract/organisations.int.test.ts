/** Two organisations on one server: on every route, what is A's does not exist for B, and nothing that B does moves A. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Body } from './testApi.ts';
import { everyRow, type Rows } from './orgs/ledgerOfRows.ts';
import { notOffered, type Expected, type Probe, type Probes } from './orgs/probeKinds.ts';
import { PROBES } from './orgs/probes.ts';
import { openTwoOrgs, type TwoOrgs } from './orgs/twoOrgs.ts';
import { routesOf, type Route } from './routes.ts';

let two: TwoOrgs;
let routes: readonly Route[];
beforeAll(async () => {
  two = await openTwoOrgs();
  routes = await routesOf(two.t);
});
afterAll(() => two.t.close());

/** The line of a route; a route that serves nothing needs none. */
const probesOf = ({ method, url, isBare }: Route): Probes | undefined =>
  PROBES[`${method} ${url}`] ?? (isBare ? notOffered(method) : undefined);

/** What no answer to B may hold, unless B sent it. */
function secretsOf({ a }: TwoOrgs): string[] {
  const { model, modelName, learner, run, task, lease, device, identifier, blob, weights, event, key } = a;
  return [
    model,
    modelName,
    learner,
    run,
    task,
    lease,
    device,
    identifier,
    blob,
    weights,
    a.heldOut,
    event,
    key,
    a.federation,
    'org_local',
    'learner-of-a',
    'bytes of A',
  ];
}

const STATUS: Readonly<Record<Expected, (status: number) => boolean>> = {
  absent: (status) => status === 404,
  empty: (status) => status === 200,
  own: (status) => status >= 200 && status < 300,
  refused: (status) => status >= 400 && status < 500,
  open: (status) => status === 200,
  not_offered: (status) => status === 501,
};

/** As B; without a key where none is needed, since not all of those routes are documented. */
async function ask({ t, asB }: TwoOrgs, method: string, { path, expected, options }: Probe): Promise<Answer> {
  if (expected !== 'open') return asB(method, path, options);
  const response = await fetch(t.url + path);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, body: {}, bytes };
}

/** What is wrong with an answer; nothing where it is as it must be. */
function faultsOf(two: TwoOrgs, probe: Probe, answer: Answer): string[] {
  const text = Buffer.from(answer.bytes).toString('latin1') + JSON.stringify([...answer.headers]);
  const sent = decodeURIComponent(probe.path) + JSON.stringify(probe.options ?? {});
  const told = secretsOf(two).filter((secret) => text.includes(secret) && !sent.includes(secret));
  const items = answer.body['items'];
  return [
    ...(STATUS[probe.expected](answer.status) ? [] : [`${answer.status} ${text.slice(0, 200)}`]),
    ...(probe.expected === 'empty' && (!Array.isArray(items) || items.length > 0) ? ['is not empty'] : []),
    ...told.map((secret) => `tells ${secret}`),
  ];
}

/** Rows that were there and are not, and rows of B that name what is A's. */
function moved({ a, b }: TwoOrgs, before: Rows, after: Rows): string[] {
  const isOfB = (row: string) => [b.orgId, b.model, b.empty, b.device].some((id) => row.includes(id));
  const ofA = [
    a.model,
    a.learner,
    a.run,
    a.task,
    a.device,
    a.blob,
    a.weights,
    a.heldOut,
    a.key,
    a.federation,
    `"rollout_id": ${a.rollout}`,
    '"org_local"',
  ];
  return [
    ...[...before].filter((row) => !after.has(row) && !isOfB(row)).map((row) => `gone: ${row}`),
    ...[...after].filter((row) => !before.has(row) && ofA.some((id) => row.includes(id))).map((row) => `new: ${row}`),
  ];
}

describe('every route', () => {
  it('has a line in the table, and every line a route', () => {
    const names = routes.map(({ method, url }) => `${method} ${url}`);
    expect(routes.filter((route) => !probesOf(route)).map(({ method, url }) => `${method} ${url}`)).toEqual([]);
    expect(Object.keys(PROBES).filter((name) => !names.includes(name))).toEqual([]);
    expect(names.length).toBeGreaterThan(120);
  });

  it('answers B nothing of A, whatever B knows, and moves nothing of A', async () => {
    const before = await everyRow(two.t.adminUrl);
    const faults: string[] = [];
    let asked = 0;
    for (const route of routes) {
      for (const probe of probesOf(route)?.(two, route.url) ?? []) {
        asked += 1;
        const answer = await ask(two, route.method, probe);
        for (const fault of faultsOf(two, probe, answer)) {
          faults.push(`${route.method} ${probe.path} ${JSON.stringify(probe.options?.body ?? '')}: ${fault}`);
        }
      }
    }
    expect(faults).toEqual([]);
    expect(asked).toBeGreaterThan(300);
    await two.t.settle();
    expect(moved(two, before, await everyRow(two.t.adminUrl))).toEqual([]);
  });

  it('answers A the same things that it keeps from B', async () => {
    const { t, a } = two;
    const paths = [
      `models/${a.model}`,
      `training/${a.run}`,
      `rollouts/${a.rollout}`,
      `events/${a.event}`,
      `blobs/${a.blob}`,
    ];
    for (const path of paths) expect((await t.call('GET', `/lifecycle/v1/${path}`)).status).toBe(200);
    const counted = await t.call('GET', `/lifecycle/v1/rollouts/${a.rollout}/health`);
    const { canary, control } = counted.body as Record<'canary' | 'control', Body>;
    expect(Number(canary['predictions']) + Number(control['predictions'])).toBeLessThanOrEqual(4);
  });
});
