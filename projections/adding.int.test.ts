/** The recipe "A read model" of docs/adding.md, with a read model that is in no build. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseStream } from '../domain/events/streams.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { until } from '../test/support/log.ts';
import { createReadModels } from './readModels.ts';
import { historyTable, need, put, type Projection } from './table.ts';

/** How many versions of a model were drafted. */
interface DraftsRow {
  model_id: string;
  drafts: number;
}
const drafts = historyTable<DraftsRow>('drafts', {
  key: ['model_id'],
  columns: { model_id: 'text', drafts: 'bigint' },
});

/** Of the model whose version the fact drafts. */
function draftedIn({ stream, type }: { readonly stream: string; readonly type: string }): string | undefined {
  const parsed = parseStream(stream);
  return parsed?.kind === 'version' && type === 'VersionDrafted' ? parsed.modelId : undefined;
}

const fake: Projection = {
  name: 'fake',
  version: 1,
  tables: [drafts],
  needs({ stream, fact }) {
    const modelId = draftedIn({ stream, type: fact.type });
    return modelId === undefined ? [] : [need(drafts, modelId)];
  },
  project({ stream, fact }, rows) {
    const model_id = draftedIn({ stream, type: fact.type });
    if (model_id === undefined) return [];
    return [put(drafts, { model_id, drafts: (rows.get(drafts, model_id)?.drafts ?? 0) + 1 })];
  },
};

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe('a read model that is passed to the runner', () => {
  it('is filled in a schema of its own, keeps every state, and says how far it is', async () => {
    const head = await stage.tell(historyFrom(71, 300));
    stage.follow([fake]);
    const models = createReadModels({ connectionString: stage.log.appUrl, projections: [fake] });
    try {
      await until('it holds the whole log', async () => (await models.status()).every((s) => s.position >= head));
      expect(await models.status()).toMatchObject([{ name: 'fake', stopped: null, setAside: { count: 0 } }]);
    } finally {
      await models.close();
    }
    const events = await stage.log.store.readLog(-1, 100_000);
    const drafted = events.filter(({ stream, fact }) => draftedIn({ stream, type: fact.type }) === 'm-0');
    expect(drafted.length).toBeGreaterThan(1);
    const { rows } = await stage.log.admin.query(
      `SELECT drafts::int, valid_from::int, valid_to::int FROM rm_fake_v1.drafts WHERE model_id = 'm-0' ORDER BY valid_from`,
    );
    const places = drafted.map((event) => event.logIndex);
    expect(rows).toEqual(
      places.map((valid_from, i) => ({ drafts: i + 1, valid_from, valid_to: places[i + 1] ?? null })),
    );
  });
});
