/** A rollout that the judge decides, through the whole product: 2,000 phones over HTTP, bakes of seconds. */
import { reportingFleet, type Behaviour, type Phone } from '../../examples/simulator/fleet.ts';
import { createRandom, type Random } from '../../bench/rollout/random.ts';
import type { Rollout } from '../../sdk/types.ts';
import { createModel, publishVersion } from './published.ts';
import { eventually, startProduct, type Product } from './stack.ts';

const MODEL = 'judged';
const PHONES = 2_000;
export const STAGES = [10, 25, 50, 75, 100].map((percent) => ({
  percent,
  ramp: '0s',
  min_bake: '4s',
  max_bake: '10m',
}));
/** A bake of seconds has no room for six hours of silence. */
const METRICS = { silence: { gate: false, after: '2s' }, latency_p95: { gate: false } };

/** One phone in ten runs iOS 14. */
const kindOf = (index: number): Omit<Phone, 'index'> =>
  index % 10 === 0
    ? { platform: 'ios', osVersion: '14.8' }
    : index % 10 < 4
      ? { platform: 'ios', osVersion: `${15 + (index % 3)}.1` }
      : { platform: 'android', osVersion: String(12 + (index % 3)) };

export interface Judged {
  readonly product: Product;
  readonly deviceKey: string;
}

/** A product of the file's own. The caller ends it. */
export async function startJudged(): Promise<Judged> {
  const product = await startProduct('judge');
  return { product, deviceKey: (await product.audit.createKey({ name: 'fleet', roles: ['device'] })).key };
}

/** How many fleets are tried: by hand more. */
// eslint-disable-next-line no-restricted-syntax -- how many fleets are tried is asked for by hand
export const SEEDS = Array.from({ length: Number(process.env['EDGEML_JUDGE_FLEETS'] ?? 1) }, (_, i) => i + 1);

/** A model whose 1.0.0 is on every phone, and whose 1.1.0 is published. */
async function prepare({ product, deviceKey }: Judged, model: string): Promise<void> {
  await createModel(product, model);
  await publishVersion(product, deviceKey, { model, version: '1.0.0', base: null });
  const first = await product.client.federation.deploy({
    model,
    version: '1.0.0',
    stages: [{ percent: 100, ramp: '0s', min_bake: '0s', max_bake: '1h' }],
    policy: { rules: [] },
  });
  await first.advance({ override: true, reason: 'the first version' });
  await publishVersion(product, deviceKey, { model, version: '1.1.0', base: '1.0.0' });
}

export interface Ended {
  readonly rollout: Rollout;
  /** The last verdict of each stage, as the log has it. */
  readonly verdicts: readonly string[];
}

/** Rolls 1.1.0 out to 2,000 phones and watches until it ends. */
export async function rollOut(judged: Judged, seed: number, isHurt: (phone: Phone) => boolean): Promise<Ended> {
  const { product, deviceKey } = judged;
  const model = `${MODEL}-${isHurt === nobody ? 'equal' : 'hurt'}-${seed}`;
  await prepare(judged, model);
  const random: Random = createRandom(seed);
  const behave: Behaviour = (phone, version) => ({
    ok: random() >= 0.002,
    latencyMs: 8 + (phone.index % 7),
    crash: random() < (version === '1.1.0' && isHurt(phone) ? 0.02 : 0.000_002),
  });
  const fleet = reportingFleet({ baseUrl: product.stack.url, apiKey: deviceKey }, model, PHONES, behave, {
    name: `${model}-phone`,
    kindOf,
    predictions: 25,
  });
  const running = fleet.run();
  try {
    await eventually(async () => ((fleet.holding()['1.0.0'] ?? 0) === PHONES ? true : undefined));
    const handle = await product.client.federation.deploy({
      model,
      version: '1.1.0',
      stages: STAGES,
      look: '500ms',
      metrics: METRICS,
    });
    let rollout: Rollout | undefined;
    for await (const seen of handle.watch()) rollout = seen;
    const verdicts: string[] = [];
    for (const { type, data } of (await product.audit.stream(`rollout-${handle.id}`)).events) {
      if (type === 'HealthJudged') verdicts[Number(data['stage'])] = String(data['verdict']);
    }
    return { rollout: rollout!, verdicts };
  } finally {
    fleet.stop();
    await running;
  }
}
export const nobody = () => false;
