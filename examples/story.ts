/**
 * The story that `npm run demo` tells and the e2e tests hold: a spam filter is trained by devices on their own mails, published,
 * rolled out, retrained on new mails, rolled out again, fails on one platform at 25 %, and comes back by itself.
 */
import { Audit } from '../sdk/audit.ts';
import { connect, encodeModel, type Lineage, type Rollout } from '../sdk/index.ts';
import { denseSet } from './simulator/evaluationSet.ts';
import { reportingFleet, toWeights, trainingFleet, type Behaviour } from './simulator/fleet.ts';
import { zeroParameters } from './simulator/logistic.ts';
import { FEATURES, holdOut, loadMails, splitOverDevices, type Mail } from './simulator/mails.ts';

export const MODEL = 'spam-filter';

/** A place at which a test may break something; the story goes on by itself. `step`: a round from 1, a stage from 0. */
export interface Moment {
  readonly during: 'training' | 'rollout';
  readonly version: string;
  readonly step: number;
}

export interface StoryOptions {
  readonly baseUrl: string;
  readonly adminKey: string;
  readonly say: (line: string) => void;
  /** Steps with a measure: a bar on a terminal. */
  readonly progress?: (title: string, done: number, total: number, detail: string) => void;
  readonly trainers?: number;
  readonly phones?: number;
  readonly rounds?: readonly [number, number];
  readonly at?: (moment: Moment) => Promise<void>;
}

export interface Figure {
  readonly version: string;
  readonly round: number;
  readonly loss: number;
  readonly accuracy: number;
}

export interface StoryResult {
  readonly modelId: string;
  /** Held-out figures of every round, of both versions. */
  readonly figures: readonly Figure[];
  /** Share of the larger class in the held-out mails: what a model without a clue reaches. */
  readonly majority: number;
  readonly first: Rollout;
  readonly second: Rollout;
  /** Devices by the version they hold at the end. */
  readonly holding: Record<string, number>;
  readonly postMortem: string;
  readonly lineage: Lineage;
  readonly tensors: Record<string, string>;
  readonly audit: { readonly passed: boolean; readonly findings: readonly { step: string; detail: string }[] };
}

const BAKE = { ramp: '0s', min_bake: '2s', max_bake: '60s' } as const;
const STAGES = [10, 25, 50, 75, 100].map((percent) => ({ percent, ...BAKE }));
const POLICY = {
  rules: [
    { metric: 'error_rate' as const, op: '>' as const, value: 0.05, min_predictions: 100, min_devices: 5 },
    { metric: 'latency_p95' as const, op: '>' as const, value: 250, min_predictions: 100, min_devices: 5 },
  ],
};

export async function tellStory(o: StoryOptions): Promise<StoryResult> {
  const { say } = o;
  const moment = o.at ?? (() => Promise.resolve());
  // Enough patience to sit out a server that a test has killed.
  const { http, registry, federation } = connect({ baseUrl: o.baseUrl, apiKey: o.adminKey, attempts: 8 });
  const audit = new Audit(http);

  say('Mails: reading the public SpamAssassin corpus.');
  const old = holdOut(loadMails(['easy-ham-1', 'hard-ham-1', 'spam-1']));
  const fresh = holdOut(loadMails(['easy-ham-2', 'spam-2']));
  const heldOut = [...old.heldOut, ...fresh.heldOut];
  const spam = heldOut.filter((m) => m.label === 1).length;
  const majority = Math.max(spam, heldOut.length - spam) / heldOut.length;
  say(
    `  ${old.train.length} mails lie on devices, ${fresh.train.length} more will come; ${heldOut.length} are held out (${(majority * 100).toFixed(1)} % are one class).`,
  );

  say('\n1. Create. A model in the catalogue, and a key that devices may use.');
  const model = await registry.ensureModel({
    name: MODEL,
    framework: 'custom',
    useCase: 'spam',
    description: 'Is this mail spam? Trained where the mails are.',
    architecture: { kind: 'mlp:relu:sigmoid', input_dim: FEATURES, output_dim: 1 },
  });
  const deviceKey = await audit.createKey({ name: 'fleet', roles: ['device'] });
  const connection = { baseUrl: o.baseUrl, apiKey: deviceKey.key };
  say(`  ${model.name} is ${model.id}.`);

  const first = await registry.putBlob(encodeModel(toWeights(zeroParameters())));
  const dense = denseSet(heldOut);
  const evaluation = await registry.putBlob(
    encodeModel(
      new Map([
        ['input', { shape: [dense.n, FEATURES], data: dense.input }],
        ['labels', { shape: [dense.n], data: dense.labels }],
      ]),
    ),
  );

  const figures: Figure[] = [];
  async function train(version: string, rounds: number, mails: readonly Mail[], base: string | null) {
    const shards = splitOverDevices(mails, o.trainers ?? 60);
    const operation = await federation.train(
      {
        model: model.id,
        newVersion: version,
        ...(base === null ? { initArtifact: first.sha256 } : { baseVersion: base }),
        rounds,
        minUpdates: shards.length,
        goal: shards.length,
        client: { epochs: 3, batch_size: 16, lr: 0.5 },
        windows: { selection: '1s', report: '2m', extend: '2m' },
        evaluationSet: evaluation.sha256,
        publish: true,
        // Pinned, with every device in every round: the same mails give the same bytes, in every run of the story.
        seed: (base === null ? '1' : '2').repeat(64),
      },
      { wait: false },
    );
    const runId = operation.id.replace('training:', '');
    const fleet = trainingFleet(connection, shards);
    const running = fleet.run();
    try {
      let shown = 0;
      let opened = 0;
      for (;;) {
        const { items } = await federation.trainingRounds(runId);
        const newest = items.reduce((most, r) => Math.max(most, r.round), 0);
        if (newest > opened) {
          opened = newest;
          await moment({ during: 'training', version, step: newest });
        }
        for (const round of items.filter((r) => r.held_out && r.round > shown)) {
          shown = round.round;
          const { loss, accuracy } = round.held_out!; // filtered on it
          figures.push({ version, round: round.round, loss: loss ?? Number.NaN, accuracy: accuracy ?? Number.NaN });
          say(
            `  round ${round.round}: ${round.accepted} devices, ${round.samples} mails; held out: loss ${loss?.toFixed(4)}, accuracy ${((accuracy ?? 0) * 100).toFixed(2)} %`,
          );
        }
        const state = await federation.training(runId);
        o.progress?.(`train ${version}`, state.rounds_done, rounds, state.status);
        if (state.status === 'aborted') throw new Error(`training of ${version} was aborted`);
        if (state.status === 'succeeded' && shown === rounds) break;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    } finally {
      fleet.stop();
      await running;
    }
    say(`  publishing ${version}: ONNX and safetensors are built, read back bit for bit, and run.`);
    const published = await registry.publishVersion({ model: model.id, version });
    for (const file of published.files) say(`    ${file.format.padEnd(12)} ${file.sha256}  ${file.bytes} bytes`);
    return published;
  }

  say('\n2. Train. Devices download the model, learn from their own mails, and send back only the change.');
  const [roundsOne, roundsTwo] = o.rounds ?? [6, 2];
  const one = await train('1.0.0', roundsOne, old.train, null);

  // iOS phones fail once they run 1.1.0 and the stage is 25 %. One prediction in 199 fails anyway, whosever it is: a phone that
  // always failed would be a twentieth of a canary of twenty, and convict a good version now and then.
  let stage = 0;
  let predictions = 0;
  const behave: Behaviour = (phone, version) => {
    const broken = version === '1.1.0' && phone.platform === 'ios' && stage >= 25;
    predictions += 1;
    return { ok: !broken && predictions % 199 !== 0, latencyMs: 8 + (phone.index % 7) };
  };
  const phones = reportingFleet(connection, MODEL, o.phones ?? 200, behave);
  const phonesRun = phones.run();

  async function rollOut(version: string): Promise<Rollout> {
    const handle = await federation.deploy({
      model: model.id,
      version,
      stages: STAGES,
      look: '300ms',
      policy: POLICY,
      on_regressed: 'rollback',
    });
    let entered = -1;
    let last: Rollout | undefined;
    for await (const r of handle.watch()) {
      last = r;
      stage = r.stages[r.stage]?.percent ?? 0;
      o.progress?.(`rollout ${version}`, Math.round(r.percent_now), 100, r.status);
      say(
        `  ${version}: ${r.status} at ${r.percent_now} %${r.judged ? `, judged ${r.judged.verdict}` : ''}; phones hold ${JSON.stringify(phones.holding())}`,
      );
      if (r.stage > entered) {
        entered = r.stage;
        await moment({ during: 'rollout', version, step: r.stage });
      }
    }
    return last!; // watch yields at least once
  }

  try {
    say(`\n3. Deploy. 1.0.0 goes to ${phones.size} phones: 10, 25, 50, 75, 100 %, each stage baked and judged.`);
    const rolledOne = await rollOut('1.0.0');

    say('\n4. Train again, on the new mails, from 1.0.0.');
    const two = await train('1.1.0', roundsTwo, fresh.train, '1.0.0');

    say('\n5. Deploy 1.1.0. Something is wrong with it on iOS.');
    const rolledTwo = await rollOut('1.1.0');

    say('\n6. Rollback. Nobody was asked: the verdict, the mark and the way back were one append.');
    const back = () => (phones.holding()['1.1.0'] ?? 0) === 0;
    for (let waited = 0; !back() && waited < 300; waited += 1) await new Promise((r) => setTimeout(r, 200));
    const holding = phones.holding();
    say(`  phones hold ${JSON.stringify(holding)}.`);
    const handle = federation.rollout(rolledTwo.id);
    await handle.recordRootCause(
      '1.1.0 was built against a newer tokenizer than the iOS app ships; the app reads garbage.',
    );
    const postMortem = await handle.postMortemMarkdown();
    say(`\n${postMortem}`);
    const lineage = await registry.lineage(model.id);
    const verified = await audit.verify();
    return {
      modelId: model.id,
      figures,
      majority,
      first: rolledOne,
      second: rolledTwo,
      holding,
      postMortem,
      lineage,
      tensors: { '1.0.0': one.tensors_sha ?? '', '1.1.0': two.tensors_sha ?? '' },
      audit: { passed: verified.passed, findings: verified.findings },
    };
  } finally {
    phones.stop();
    await phonesRun;
  }
}
