/** Lists that are longer than a page: all models in one document, versions by precedence, names by a part of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServer } from '../../api/server.ts';
import { byPrecedenceDesc } from '../../domain/semver.ts';
import type { ReadModels } from '../../projections/readModels.ts';
import { until } from '../support/log.ts';
import { openTestApi, OWN, SDK, type Body, type TestApi } from './testApi.ts';
import { grow, MANY } from './work/grow.ts';

const SIZE = { models: 2_200, versions: 130, rollouts: 0 };
/** Models of one query, as the API reads them. */
const PAGE = 500;

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
  await grow(t, { models: 0, versions: 0, rollouts: 0 }, SIZE);
}, 300_000);
afterAll(() => t.close());

const itemsOf = (body: Body, member: string) => body[member] as readonly Body[]; // the answer fits its schema
const get = async (path: string) => (await t.call('GET', path)).body;

/** Every page of a list of the Lifecycle API. */
async function pages(path: string): Promise<Body[][]> {
  const found: Body[][] = [];
  for (let cursor = ''; ;) {
    const body = await get(`${path}${cursor}`);
    found.push([...itemsOf(body, 'items')]);
    if (typeof body['next_cursor'] !== 'string') return found;
    cursor = `&cursor=${body['next_cursor']}`;
  }
}

describe('all models of the EdgeML API', () => {
  it('are in one document, each once, with their number', async () => {
    const body = await get(`${SDK}/models`);
    const names = itemsOf(body, 'models').map((model) => model['name']);
    expect(new Set(names).size).toBe(SIZE.models + 1);
    expect(names).toHaveLength(SIZE.models + 1);
    expect(body['total']).toBe(SIZE.models + 1);
  });

  it('are cut by limit and offset where these are given, and counted all the same', async () => {
    const all = itemsOf(await get(`${SDK}/models`), 'models');
    const cut = async (query: string) => {
      const body = await get(`${SDK}/models?${query}`);
      expect(body['total']).toBe(all.length);
      return itemsOf(body, 'models');
    };
    expect(await cut('limit=100&offset=300')).toEqual(all.slice(300, 400));
    expect(await cut(`limit=${PAGE}`)).toEqual(all.slice(0, PAGE));
    expect(await cut('limit=1201&offset=7')).toEqual(all.slice(7, 1_208));
    expect(await cut('offset=2100')).toEqual(all.slice(2_100));
    expect(await cut('offset=100000')).toEqual([]);
    expect(await cut('limit=0')).toEqual([]);
    expect(await get(`${SDK}/models?framework=nobody`)).toEqual({ models: [], total: 0 });
    expect((await get(`${SDK}/models?framework=onnx&use_case=scale&limit=1`))['total']).toBe(all.length);
  });

  it('tell the state of the version that was drafted last', async () => {
    const state = async () => {
      const { body } = await t.call('GET', `${SDK}/models`);
      return itemsOf(body, 'models').find((model) => model['name'] === 'newest')?.['lifecycle_state'];
    };
    const id = await t.published('newest', '2.0.0');
    expect(await state()).toBe('Published');
    await t.call('POST', `${OWN}/models/${id}/versions`, { body: { version: '1.0.0' } });
    await t.settle();
    expect(await state()).toBe('Draft');
  });
});

/** The same API over reads whose pages of models are as `page` has it; answers how many were asked for. */
async function apiWhere(page: (n: number) => Promise<void>) {
  let asked = 0;
  const reads: ReadModels = {
    ...t.api.deps.reads,
    async modelsNow(...of) {
      await page((asked += 1));
      return t.api.deps.reads.modelsNow(...of);
    },
  };
  const app = createServer({ ...t.api.deps, reads });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const ask = (path: string, signal?: AbortSignal) =>
    fetch(url + path, { headers: { authorization: `Bearer ${t.secretOf('admin')}` }, ...(signal ? { signal } : {}) });
  const close = () => {
    app.server.closeAllConnections();
    return app.close();
  };
  return { ask, asked: () => asked, close };
}

describe('the document of all models', () => {
  it('is never whole where a query fails in the middle of it', async () => {
    const api = await apiWhere((n) => (n === 3 ? Promise.reject(new Error('a test')) : Promise.resolve()));
    const answer = await api.ask(`${SDK}/models`);
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
    await api.close();
  });

  it('is a problem where the first query fails', async () => {
    const api = await apiWhere(() => Promise.reject(new Error('a test')));
    expect((await api.ask(`${SDK}/models`)).status).toBe(500);
    await api.close();
  });

  it('lets others be answered between its pages, and ends with its client', async () => {
    let goOn: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const api = await apiWhere((n) => (n === 2 ? held : Promise.resolve()));
    const leave = new AbortController();
    const answer = await api.ask(`${SDK}/models`, leave.signal);
    await until('the second page is asked for', () => api.asked() === 2);
    expect((await api.ask('/livez')).status).toBe(200);
    leave.abort();
    await expect(answer.text()).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 50)); // the server hears of it by its socket
    goOn();
    await api.close();
    expect(api.asked()).toBeLessThanOrEqual(3);
  });
});

describe('versions of a model', () => {
  it('come highest precedence first, page by page, as of the first page', async () => {
    const found = await pages(`${OWN}/models/${MANY}/versions?limit=40`);
    expect(found.map((page) => page.length)).toEqual([40, 40, 40, 10]);
    const names = found.flat().map((version) => String(version['version']));
    expect(names).toEqual(names.toSorted(byPrecedenceDesc));
    expect(new Set(names).size).toBe(SIZE.versions);
    const drafts = await pages(`${OWN}/models/${MANY}/versions?lifecycle_state=Draft&limit=500`);
    expect(drafts.flat()).toEqual(found.flat());
    expect((await pages(`${OWN}/models/${MANY}/versions?lifecycle_state=Published`)).flat()).toEqual([]);
  });

  it('are listed for SDKs: good ones, previews, those on their way, bad ones', async () => {
    const id = await t.published('ordered', '1.0.0', '1.10.0', '1.9.0', '2.0.0-rc.1', '2.0.0-rc.2');
    for (const version of ['0.1.0', '9.0.0']) {
      await t.call('POST', `${OWN}/models/${id}/versions`, { body: { version } });
    }
    const body = { version: '1.10.0', preset: 'immediate', start: true };
    const rollout = (await t.call('POST', `${OWN}/models/${id}/rollouts`, { body })).body['id'];
    await t.call('POST', `${OWN}/rollouts/${String(rollout)}/rollback`, { body: { reason: 'a test' } });
    await t.settle();
    const list = async (query = '') =>
      itemsOf(await get(`${SDK}/models/${id}/versions${query}`), 'versions').map((version) => version['version']);
    const order = ['1.9.0', '1.0.0', '2.0.0-rc.2', '2.0.0-rc.1', '9.0.0', '0.1.0', '1.10.0'];
    expect(await list()).toEqual(order);
    expect(await list('?limit=3&offset=2')).toEqual(order.slice(2, 5));
    expect(await list('?status=published')).toEqual(order.slice(0, 4));
    expect(await list('?status=draft')).toEqual(order.slice(4, 6));
    expect(await list('?status=rolled_back')).toEqual(order.slice(6));
    expect(await list('?status=deprecated')).toEqual([]);
    expect((await get(`${SDK}/models/${id}/versions/latest`))['version']).toBe('1.9.0');
  });

  it('have a lineage in pages, with the rollouts of each', async () => {
    const first = await get(`${OWN}/models/ordered/lineage?limit=4`);
    const rest = await get(`${OWN}/models/ordered/lineage?limit=4&cursor=${String(first['next_cursor'])}`);
    const nodes = [...itemsOf(first, 'nodes'), ...itemsOf(rest, 'nodes')];
    expect(rest['next_cursor']).toBeNull();
    expect(nodes.map((node) => node['version'])).toEqual([
      '9.0.0',
      '2.0.0-rc.2',
      '2.0.0-rc.1',
      '1.10.0',
      '1.9.0',
      '1.0.0',
      '0.1.0',
    ]);
    expect(nodes.map((node) => (node['rollouts'] as unknown[]).length)).toEqual([0, 0, 0, 1, 0, 0, 0]);
  });
});

describe('a part of a name', () => {
  it.each(['qxz', 'QXZ-M', 'q', 'z-'])('%s finds the model, on whichever page', async (part) => {
    const found = await pages(`${OWN}/models?name_contains=${part}&limit=10`);
    expect(found.flat().map((model) => model['name'])).toEqual([MANY]);
  });

  it('finds all that have it, page by page', async () => {
    const found = await pages(`${OWN}/models?name_contains=L-1&limit=100`);
    const names = found.flat().map((model) => String(model['name']));
    const wanted = Array.from({ length: SIZE.models }, (_, n) => `model-${n}`).filter((name) => name.includes('l-1'));
    expect(names.toSorted()).toEqual(wanted.toSorted());
    expect(Math.max(...found.map((page) => page.length))).toBe(100);
  });
});

describe('keys', () => {
  it('are listed oldest first, page by page', async () => {
    for (const name of ['a', 'b', 'c']) {
      await t.call('POST', `${OWN}/keys`, { body: { name, roles: ['viewer'] } });
    }
    const all = itemsOf(await get(`${OWN}/keys`), 'items');
    const paged = await pages(`${OWN}/keys?limit=4`);
    expect(paged.flat().map((key) => key['id'])).toEqual(all.map((key) => key['id']));
    expect(paged.length).toBe(Math.ceil(all.length / 4));
  });
});
