/** What /metrics says of the log: facts, judgements and rollbacks, whoever wrote them; and how far behind the relays are. */
import { until } from '../support/log.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAndStart } from '../../commands/createAndStart.ts';
import { judgeRollout } from '../../commands/judgeRollout.ts';
import { rollBack } from '../../commands/rollBack.ts';
import { judgement } from '../../machines/facts.fixture.ts';
import { facts, person, spec, stopper } from '../support/commands.ts';
import { openTestApi, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

/** Every sample of a scrape: name with labels → value. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${t.url}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('/metrics', () => {
  it('counts what entered the log, and says how far behind each relay is', async () => {
    const before = await scrape();
    expect(before.get('edgeml_rollbacks_total{trigger="manual"}')).toBe(0);
    const { commands } = t.api.deps;
    const modelId = await t.published('metered', '1.0.0', '1.1.0', '1.2.0');
    const at = async (version: string, once = false) => {
      const done = once ? { completeAtOnce: { reason: 'a test' } } : {};
      const started = await createAndStart(commands, person(), {
        modelId,
        spec: spec(version, once ? [100] : [10, 100]),
        ...done,
      });
      facts(started);
      return started.rolloutId;
    };
    await at('1.0.0', true);
    const judged = await at('1.1.0');
    facts(await judgeRollout(commands, stopper(), { rolloutId: judged, judgement: judgement('REGRESSED') }));
    const stopped = await at('1.2.0');
    facts(await rollBack(commands, stopper(), { rolloutId: stopped, reason: 'a test', trigger: 'manual' }));
    await t.settle();

    const total = await t.facts();
    const appended = (of: ReadonlyMap<string, number>) =>
      [...of].reduce((sum, [name, n]) => sum + (name.startsWith('edgeml_events_appended_total') ? n : 0), 0);
    // One answer serves all who ask within a second.
    await until('a scrape holds every fact', async () => appended(await scrape()) === total);
    // Two scrapes at once read the log once.
    const [after, twin] = await Promise.all([scrape(), scrape()]);
    const streams = ['model', 'version', 'training', 'rollout'].map(
      (stream) => after.get(`edgeml_events_appended_total{stream="${stream}"}`) ?? NaN,
    );
    expect(streams.reduce((sum, n) => sum + n, 0)).toBe(total);
    expect(streams[2]).toBe(0);
    expect(twin.get('edgeml_events_appended_total{stream="rollout"}')).toBe(streams[3]);
    expect(after.get('edgeml_verdicts_total{verdict="REGRESSED"}')).toBe(1);
    expect(after.get('edgeml_rollbacks_total{trigger="verdict"}')).toBe(1);
    expect(after.get('edgeml_rollbacks_total{trigger="manual"}')).toBe(1);
    expect(after.get('edgeml_append_duration_seconds_count')).toBeGreaterThan(10);
    // No relay runs here: neither was told anything.
    expect(after.get('edgeml_relay_lag_events{relay="nats"}')).toBe(total);
    expect(after.get('edgeml_relay_lag_events{relay="temporal"}')).toBe(total);
    expect((await scrape()).get('edgeml_verdicts_total{verdict="REGRESSED"}')).toBe(1);
  });
});
