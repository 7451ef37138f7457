/** Goals of docs/design/judge.md "The harness": each is a name, how often it is tried, and what one seed shows. */
import type { Fault } from './faults.ts';
import { createFleet, osSegment } from './fleet.ts';
import { createRandom, type Random } from './random.ts';
import { MEASURED, runOneStage, runRollout, stagesOf, trialOf, type StageOutcome } from './rollout.ts';
import { WORLD, type World } from './world.ts';

/** What one seed showed: whether it is as the goal wants it, and a number worth a column. */
export interface Shown {
  readonly ok: boolean;
  readonly figure?: number;
  /** In words, for a seed that is run alone. */
  readonly text: string;
  readonly forged: boolean;
}

/** What is different from the goal: a wrong rule, or how often devices report. */
export interface Setting {
  readonly fault?: Fault;
  readonly reportHours?: number;
}

export interface Goal {
  readonly name: string;
  readonly wants: string;
  readonly quick: number;
  readonly full: number;
  /** Share of seeds that may fail. */
  readonly allowed: number;
  readonly run: (seed: number, setting?: Setting) => Shown;
}

const PERCENTS = [10, 25, 50, 75, 100];
const TENTHS = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
const DAY_STAGES = stagesOf(PERCENTS, '2h', '24h', '26h');
const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
const faultOf = (setting: Setting | undefined) => (setting?.fault === undefined ? {} : { fault: setting.fault });
const cadenceOf = (setting: Setting | undefined) =>
  setting?.reportHours === undefined ? {} : { reportHours: setting.reportHours };

function told(outcomes: readonly StageOutcome[]): string {
  return outcomes
    .map(({ verdict, clock, judgement: { guilt }, active }) => {
      const who = guilt ? ` ${guilt.metric} by ${guilt.by}, ${guilt.named ?? 'everyone'}` : '';
      return `${verdict} at ${clock.toFixed(1)} h${who} (${active} active)`;
    })
    .join('; ');
}
const shown = (outcomes: readonly StageOutcome[], ok: boolean, figure?: number): Shown => ({
  ok,
  text: told(outcomes),
  forged: outcomes.some((o) => o.forged !== undefined),
  ...(figure === undefined ? {} : { figure }),
});
const isRolledBack = (outcomes: readonly StageOutcome[]): boolean => outcomes.some((o) => o.verdict === 'REGRESSED');

/** One stage of a fleet in a world. */
function oneStage(
  seed: number,
  setting: Setting | undefined,
  given: Partial<World>,
  trial: Partial<Parameters<typeof trialOf>[2]> & { stage?: number; stages?: ReturnType<typeof stagesOf> } = {},
): StageOutcome {
  const { stage = 0, stages = DAY_STAGES, ...more } = trial;
  const random = createRandom(seed);
  const world: World = { ...WORLD, ...given, ...cadenceOf(setting) };
  const fleet = createFleet(random, world, seed);
  const asked = {
    random,
    fleet,
    world,
    rollout: String(seed),
    trial: trialOf(stages, {}, { ...more, ...faultOf(setting) }),
  };
  return runOneStage(asked, stage);
}

const HOSTILE: Goal = {
  name: 'equal versions, hostile mix',
  wants: 'rolled back in at most 1 %',
  quick: 60,
  full: 1000,
  allowed: 0.01,
  run(seed, setting) {
    const random = createRandom(seed);
    const devices = seed % 60 === 30 ? 100_000 : seed % 8 === 0 ? 20_000 : 3_000;
    const base: World = {
      ...WORLD,
      devices,
      reportHours: pick(random, [1 / 12, 1, 4, 24]),
      contactHours: pick(random, [1 / 12, 1, 4]),
      usage: pick(random, [3, 6, 40]),
      usageSpread: pick(random, [0.4, 0.8]),
      canaryUsage: pick(random, [0.7, 1, 1.4]),
      older: pick(random, [0, 0.3]),
      zones: pick(random, [0, 12]),
      startHour: Math.floor(random() * 24),
      asleep: pick(random, [false, true]),
      bad: { ...WORLD.bad, errors: pick(random, [0.01, 0.04]) },
      simulated: [...WORLD.simulated, 'latency_p95', 'latency_late'],
    };
    const ramp = pick(random, ['0s', '2h']);
    const fleet = createFleet(random, base, seed);
    const trial = trialOf(stagesOf(PERCENTS, ramp, '24h', '26h'), {}, { isPushed: true, ...faultOf(setting) });
    const outcomes = runRollout({ random, fleet, trial, rollout: String(seed) }, () => {
      const from = random() * 20;
      return random() < 0.6 ? { ...base, outages: [{ from, to: from + 1, rate: 0.3 }] } : base;
    });
    return shown(outcomes, !isRolledBack(outcomes));
  },
};

const PROVEN: Goal = {
  name: '1.5 times worse, called proven',
  wants: 'in at most 5 %',
  quick: 100,
  full: 2000,
  allowed: 0.05,
  run(seed, setting) {
    const random = createRandom(seed);
    const world: World = {
      ...WORLD,
      devices: 2_000,
      // 15 % of its devices are bad: enough for a proof, and far above the 1.7 % that harm nobody.
      bad: { ...WORLD.bad, errors: 0.1 },
      wrong: { errors: { share: 0.05, rate: 0.3 } },
      simulated: ['errors'],
    };
    const fleet = createFleet(random, world, seed);
    const trial = trialOf(
      stagesOf(TENTHS, '2h', '24h', '26h'),
      {},
      {
        isPushed: true,
        measured: ['errors'],
        // A look may be rare: then the arms open out of step.
        lookHours: seed % 2 === 0 ? 1 : 1 / 12,
        ...faultOf(setting),
      },
    );
    const outcomes = runRollout({ random, fleet, trial, rollout: String(seed) }, () => world);
    return shown(outcomes, !outcomes.some((o) => o.judgement.proven.includes('errors')));
  },
};

const CRASH: Goal = {
  name: 'crash of 20 %, a million devices, ramped',
  wants: 'convicted by at most 150 active devices',
  quick: 20,
  full: 200,
  allowed: 0.05,
  run(seed, setting) {
    // The first two hours: by their end four times as many devices are active.
    const outcome = oneStage(
      seed,
      setting,
      {
        devices: 1_000_000,
        bad: { ...WORLD.bad, crash: 0.01 },
        wrong: { crash: 0.2 },
        simulated: ['crash'],
      },
      { lookHours: 1 / 60, stages: stagesOf(PERCENTS, '2h', '1s', '2s') },
    );
    return shown([outcome], outcome.verdict === 'REGRESSED' && outcome.active <= 150, outcome.active);
  },
};

const segment = (name: string, os: number, allowed: number): Goal => ({
  name,
  wants: `found in stage 1 and it alone named in at least ${Math.round(100 - 100 * allowed)} %`,
  quick: 10,
  full: 200,
  allowed,
  run(seed, setting) {
    const outcome = oneStage(seed, setting, {
      devices: 1_000_000,
      wrong: { errors: { share: 0.15, rate: 0.3 }, os },
      simulated: ['errors'],
    });
    return shown([outcome], outcome.judgement.guilt?.named === osSegment(os), outcome.clock);
  },
});

const osCrash = (devices: number): Goal => ({
  name: `one OS of 10 % fails, stage of 25 %, ${devices.toLocaleString('en')} devices`,
  wants: 'it alone named in at least 97 %',
  quick: 20,
  full: 200,
  allowed: 0.03,
  run(seed, setting) {
    const given = { devices, wrong: { errors: { share: 1, rate: 1 }, crash: 1, os: 3 } };
    const outcome = oneStage(seed, setting, given, { stage: 1, lookHours: 1 / 60 });
    return shown([outcome], outcome.judgement.guilt?.named === osSegment(3), outcome.clock);
  },
});

const BRICKED: Goal = {
  name: '40 % of canary bricked at activation',
  wants: 'convicted by silence within 12 h',
  quick: 10,
  full: 100,
  allowed: 0,
  run(seed, setting) {
    const outcome = oneStage(seed, setting, { wrong: { bricked: 0.4 } });
    const ok = outcome.judgement.guilt?.metric === 'silence' && outcome.clock <= 12;
    return shown([outcome], ok, outcome.clock);
  },
};

const LATE: Goal = {
  name: 'errors double at hour 10 of the bake, 200,000 devices',
  wants: 'convicted in the stage in at least 95 %',
  quick: 10,
  full: 200,
  allowed: 0.05,
  run(seed, setting) {
    const outcome = oneStage(seed, setting, {
      devices: 200_000,
      wrong: { errors: { share: 0.01, rate: 0.3, from: 12 } },
      simulated: ['errors', 'errors_late'],
    });
    return shown([outcome], outcome.verdict === 'REGRESSED', outcome.clock);
  },
};

/** What goes wrong for both arms, or on the way to the device: nobody may be rolled back. */
const CELLS: readonly (readonly [name: string, given: Partial<World>, stage?: number, ramp?: string])[] = [
  ...['2h', '0s'].flatMap((ramp) =>
    [1, 3, 5, 10, -2].flatMap((from) =>
      [0, 4].map((stage): (typeof CELLS)[number] => [
        `outage of 30 % at ${from} h, ramp ${ramp}, stage ${stage + 1}`,
        { outages: [{ from, to: from + 1, rate: 0.3 }], simulated: ['errors', 'errors_late'] },
        stage,
        ramp,
      ]),
    ),
  ),
  ['installs fail five times as often', { bad: { ...WORLD.bad, install: 0.05 } }],
  ['canary 5 % slower', { wrong: { slower: 1.05 }, simulated: ['latency_p95', 'latency_late'] }],
  ['canary used 1.5 times as much', { canaryUsage: 1.5 }],
  [
    'canary used a quarter as much, hourly reports of many predictions',
    {
      devices: 20_000,
      canaryUsage: 0.25,
      reportHours: 1,
      usage: 80,
      usageSpread: 0.4,
      bad: { ...WORLD.bad, errors: 0.1 },
      frail: 0.05,
      simulated: ['errors', 'errors_late'],
    },
    2,
  ],
  ...[930_000, 880_000].map((validated): (typeof CELLS)[number] => [
    `validated at ${validated / 1e6}, 0.85 in the field`,
    { accuracy: { validated, field: 850_000 }, simulated: ['errors', 'drift'] },
  ]),
  ['downloads fail at 5 %', { bad: { ...WORLD.bad, download: 0.05 } }],
  ['apps restart every few predictions', { session: 4, simulated: ['errors', 'crash'] }],
];
const UNHURT: readonly Goal[] = CELLS.map(([name, given, stage = 0, ramp = '2h']) => ({
  name: `no rollback: ${name}`,
  wants: 'never rolled back',
  quick: 5,
  full: 100,
  allowed: 0,
  run(seed, setting) {
    const measured = given.simulated?.includes('drift') === true ? [...MEASURED, 'drift'] : MEASURED;
    const stages = stagesOf(PERCENTS, ramp, '24h', '26h');
    const outcome = oneStage(seed, setting, { devices: 10_000, ...given }, { stage, stages, measured, isPushed: true });
    return shown([outcome], outcome.verdict !== 'REGRESSED');
  },
}));

const LOOP: Goal = {
  name: 'crash loop of 12 in 200 canary devices',
  wants: 'convicted',
  quick: 20,
  full: 200,
  allowed: 0,
  run(seed, setting) {
    const random = createRandom(seed);
    const world: World = { ...WORLD, ...cadenceOf(setting), devices: 2_000, never: 0, wrong: { crash: 0.5 } };
    const fleet = createFleet(random, world, seed);
    // Exactly twelve of those that the stage tells.
    fleet.luck.fill(1);
    for (let i = 0, left = 12; left > 0; i += 1) {
      if (fleet.bucket[i]! >= 1_000) continue;
      fleet.luck[i] = 0;
      left -= 1;
    }
    const trial = trialOf(DAY_STAGES, {}, { lookHours: 1 / 60, ...faultOf(setting) });
    const outcome = runOneStage({ random, fleet, world, rollout: String(seed), trial }, 0);
    return shown([outcome], outcome.judgement.guilt?.metric === 'crash', outcome.clock);
  },
};

const SMALL: Goal = {
  name: '200 devices, crash of 20 %',
  wants: 'never past stage 3',
  quick: 20,
  full: 200,
  allowed: 0,
  run(seed, setting) {
    const random = createRandom(seed);
    const world: World = {
      ...WORLD,
      devices: 200,
      wrong: { crash: 0.2 },
      simulated: [...WORLD.simulated, 'latency_p95'],
    };
    const fleet = createFleet(random, world, seed);
    const trial = trialOf(DAY_STAGES, {}, faultOf(setting));
    const outcomes = runRollout({ random, fleet, trial, rollout: String(seed) }, () => world);
    return shown(outcomes, outcomes.length <= 3, outcomes.length);
  },
};

const DARK: Goal = {
  name: 'six hours without telemetry',
  wants: 'no step, the clock stands, UNTRUSTED is told',
  quick: 10,
  full: 200,
  allowed: 0,
  run(seed, setting) {
    const cut = { from: 20, to: 26, whose: 'all' as const };
    const outcome = oneStage(seed, setting, { cut, simulated: [...WORLD.simulated, 'latency_p95'] });
    const stood = outcome.wall - outcome.clock;
    return shown([outcome], outcome.wasUntrusted && outcome.verdict === 'QUIET' && stood > 5.5, stood);
  },
};

const DEAF: Goal = {
  name: 'six hours without telemetry of control, then back',
  wants: 'never convicted',
  quick: 10,
  full: 200,
  allowed: 0,
  run(seed, setting) {
    const from = seed % 2 === 0 ? 1.5 : 4;
    const outcome = oneStage(seed, setting, { cut: { from, to: from + 6, whose: 'control' } }, { isPushed: true });
    return shown([outcome], outcome.verdict !== 'REGRESSED');
  },
};

const HEALTHY: Goal = {
  name: 'a version that hardly fails, 20,000 devices, stage of 50 %',
  wants: 'HEALTHY by proof in at least 90 %',
  quick: 5,
  full: 100,
  allowed: 0.1,
  run(seed, setting) {
    const bad = { ...WORLD.bad, errors: 0.004, crash: 0.0001, download: 0.001, install: 0.0005 };
    const given = { bad, simulated: ['errors', 'errors_late', 'crash', 'download', 'install'] };
    const outcome = oneStage(seed, setting, given, { stage: 2, measured: given.simulated });
    return shown([outcome], outcome.verdict === 'HEALTHY', outcome.clock);
  },
};

export const GOALS: readonly Goal[] = [
  HOSTILE,
  PROVEN,
  HEALTHY,
  CRASH,
  segment('segment of 1 % at 16 times, a million devices', 9, 0.01),
  segment('segment of 0.3 % at 16 times, a million devices', 11, 0.05),
  osCrash(2_000),
  osCrash(20_000),
  BRICKED,
  LATE,
  ...UNHURT,
  LOOP,
  SMALL,
  DARK,
  DEAF,
];
