/** The story of the demo, once as it is told, once with each process killed in the middle of a round and of a rollout. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServiceName } from '../../dev/stackFile.ts';
import { verify } from '../../audit/verify.ts';
import { tellStory, type Moment, type StoryResult } from '../../examples/story.ts';
import { Device } from '../../sdk/index.ts';
import { createEventStore } from '../../store/log/postgresEventStore.ts';
import { startProduct, type Product } from './stack.ts';

const KILLED: readonly ServiceName[] = ['worker', 'server', 'nats', 'temporal', 'postgres'];
const MINUTES = 60_000;

async function tell(product: Product, at?: (moment: Moment) => Promise<void>): Promise<StoryResult> {
  return tellStory({
    baseUrl: product.stack.url,
    adminKey: product.adminKey,
    say: () => {},
    trainers: 20,
    phones: 100,
    ...(at ? { at } : {}),
  });
}

let plain: StoryResult;

describe('the story', () => {
  let product: Product;
  beforeAll(async () => {
    product = await startProduct('story');
    plain = await tell(product);
  }, 4 * MINUTES);
  afterAll(() => product?.end());

  it('trains a model that is 10 points above the majority class, and rising', () => {
    const first = plain.figures.filter((f) => f.version === '1.0.0');
    expect(first.length).toBe(6);
    expect(first.at(-1)!.accuracy).toBeGreaterThan(plain.majority + 0.1);
    expect(first.at(-1)!.accuracy).toBeGreaterThan(first[0]!.accuracy);
    expect(plain.figures.at(-1)!.accuracy).toBeGreaterThan(first.at(-1)!.accuracy);
  });

  it('completes the first rollout, and rolls the second one back at 25 % by its verdict', () => {
    expect(plain.first.status).toBe('completed');
    expect(plain.second.status).toBe('rolled_back');
    expect(plain.second.stages[plain.second.stage]!.percent).toBe(25);
    expect(plain.second.rolled_back).toMatchObject({ target: '1.0.0', trigger: 'verdict' });
    expect(plain.second.rolled_back!.evidence).toMatchObject({ rule: { metric: 'error_rate' } });
  });

  it('brings every device back, and tells nobody the bad version any more', async () => {
    expect(plain.holding).toEqual({ '1.0.0': 100 });
    const key = await product.audit.createKey({ name: 'asker', roles: ['device'] });
    for (let i = 0; i < 100; i += 1) {
      const device = new Device({
        baseUrl: product.stack.url,
        apiKey: key.key,
        deviceIdentifier: `phone-${i}`,
        platform: i % 5 < 2 ? 'ios' : 'android',
      });
      expect((await device.assignment(plain.modelId))?.version).toBe('1.0.0');
    }
  });

  it('drafts a post-mortem that names the trigger, the platform and the root cause', () => {
    expect(plain.postMortem).toMatch(/error_rate/);
    expect(plain.postMortem).toMatch(/ios/i);
    expect(plain.postMortem).toMatch(/tokenizer/);
  });

  it('shows where each version comes from', () => {
    expect(plain.lineage.nodes.map((n) => [n.version, n.lifecycle_state, n.base])).toEqual(
      expect.arrayContaining([
        ['1.0.0', 'Deployed', null],
        ['1.1.0', 'Rollback', '1.0.0'],
      ]),
    );
  });

  it('leaves a log that verifies', () => {
    expect(plain.audit.findings).toEqual([]);
    expect(plain.audit.passed).toBe(true);
  });
});

describe('the story with every process killed in the middle of a round, and of a rollout', () => {
  let product: Product;
  let broken: StoryResult;
  const killed: string[] = [];
  const unclean: unknown[] = [];

  beforeAll(async () => {
    product = await startProduct('faults');
    const connectionString = product.stack.env['DATABASE_URL']!;
    const log = createEventStore({ connectionString });
    broken = await tell(product, async (moment) => {
      if (moment.version !== '1.0.0') return;
      const name = KILLED[moment.during === 'training' ? moment.step - 1 : moment.step];
      if (!name) return;
      await product.stack.kill(name);
      await product.stack.ready(name);
      killed.push(`${moment.during}/${name}`);
      // In this process: one of its own takes seconds to begin, and the next moment would be missed.
      const checked = await verify({ connectionString, log }, { fast: true });
      unclean.push(...checked.findings);
    });
    await log.close();
  }, 8 * MINUTES);
  afterAll(() => product?.end());

  it('killed each of them twice', () => {
    expect(killed.sort()).toEqual(KILLED.flatMap((name) => [`rollout/${name}`, `training/${name}`]).sort());
  });

  it('found the log whole after each', () => expect(unclean).toEqual([]));

  it('ends as if nothing had happened: the same bits, the same ends, a whole log', () => {
    expect(broken.tensors).toEqual(plain.tensors);
    expect([broken.first.status, broken.second.status]).toEqual(['completed', 'rolled_back']);
    expect(broken.holding).toEqual(plain.holding);
    expect(broken.audit.findings).toEqual([]);
  });

  it('told each fact once', async () => {
    const { items } = await product.audit.events({ limit: 500 });
    const once = ['VersionPublished', 'RolloutStarted', 'RolloutCompleted', 'RolloutRolledBack', 'TrainingSucceeded'];
    const count = (type: string, stream: string) => items.filter((e) => e.type === type && e.stream === stream).length;
    for (const event of items.filter((e) => once.includes(e.type))) expect(count(event.type, event.stream)).toBe(1);
    const rounds = items
      .filter((e) => e.type === 'RoundAggregated')
      .map((e) => `${e.stream}/${String(e.data['round'])}`);
    expect(new Set(rounds).size).toBe(rounds.length);
  });
});
