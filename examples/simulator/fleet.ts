/**
 * Simulated devices: each is a client of its own, over HTTP alone. They train on the mails they hold, and they run whatever version
 * they are told, reporting what happened.
 */
import { Device, type DeviceOptions, type Weights } from '../../sdk/index.ts';
import type { Mail } from './mails.ts';
import { trainLocally, type Parameters } from './logistic.ts';

export const WEIGHT = 'fc.weight';
export const BIAS = 'fc.bias';

export const toWeights = (p: Parameters): Weights =>
  new Map([
    [BIAS, { shape: [1], data: p.bias }],
    [WEIGHT, { shape: [1, p.weight.length], data: p.weight }],
  ]);

const toParameters = (weights: Weights): Parameters => ({
  weight: weights.get(WEIGHT)!.data,
  bias: weights.get(BIAS)!.data,
});

type Connection = Pick<DeviceOptions, 'baseUrl' | 'apiKey'>;

/** Small delay between two turns of one device, so that a fleet does not call in step. */
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs `turn` for each item, at most `width` at a time. */
async function inParallel<T>(items: readonly T[], width: number, turn: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: Math.min(width, queue.length) }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await turn(item);
    }),
  );
}

/** Devices that train. `run()` keeps checking in until it is stopped; a server that is away is no reason to stop. */
export function trainingFleet(connection: Connection, shards: readonly (readonly Mail[])[]) {
  const devices = shards.map((mails, i) => ({
    mails,
    device: new Device({
      ...connection,
      attempts: 5,
      deviceIdentifier: `trainer-${i}`,
      platform: i % 3 === 0 ? 'ios' : 'android',
    }),
  }));
  let stopped = false;
  let accepted = 0;

  async function turn({ device, mails }: (typeof devices)[number]): Promise<void> {
    try {
      const receipt = await device.train((base, task) => {
        const result = trainLocally(toParameters(base), mails, {
          epochs: task.plan.epochs,
          batchSize: task.plan.batch_size,
          lr: task.plan.lr,
          seed: Number.parseInt(task.plan.seed.slice(0, 8), 16),
        });
        return { delta: toWeights(result.delta), samples: result.samples, metrics: result.metrics };
      });
      if (receipt) accepted += 1;
    } catch {
      // A round that closed meanwhile, or a server that is away: the device comes back at its next turn.
    }
  }

  return {
    get accepted() {
      return accepted;
    },
    async run(): Promise<void> {
      while (!stopped) {
        await inParallel(devices, 16, turn);
        await pause(200);
      }
    },
    stop(): void {
      stopped = true;
    },
  };
}

export interface Phone {
  readonly index: number;
  readonly platform: string;
  readonly osVersion: string;
}

/** How one prediction goes: the fault of the story is injected here. */
export type Behaviour = (
  phone: Phone,
  version: string,
) => {
  readonly ok: boolean;
  readonly latencyMs: number;
  /** The app dies of it. */
  readonly crash?: boolean;
};

export interface FleetOptions {
  /** Begins each device's identifier. */
  readonly name?: string;
  readonly kindOf?: (index: number) => Omit<Phone, 'index'>;
  /** Predictions between two reports of a device. */
  readonly predictions?: number;
}

/** Two of five are iPhones. */
const usualKind = (index: number): Omit<Phone, 'index'> =>
  index % 5 < 2 ? { platform: 'ios', osVersion: '17.4' } : { platform: 'android', osVersion: '14' };

/** Devices that run the model: ask which version, fetch it when it changes, predict, report. */
export function reportingFleet(
  connection: Connection,
  model: string,
  size: number,
  behave: Behaviour,
  { name = 'phone', kindOf = usualKind, predictions = 5 }: FleetOptions = {},
) {
  const devices = Array.from({ length: size }, (_, index) => {
    const phone: Phone = { index, ...kindOf(index) };
    return {
      phone,
      held: undefined as string | undefined,
      device: new Device({ ...connection, ...kindOf(index), attempts: 5, deviceIdentifier: `${name}-${index}` }),
    };
  });
  let stopped = false;

  async function turn(d: (typeof devices)[number]): Promise<void> {
    try {
      const told = await d.device.assignment(model);
      if (!told) {
        d.held = undefined;
        return;
      }
      if (told.version !== d.held) {
        await d.device.download(model, told.version, 'onnx');
        d.held = told.version;
      }
      for (let n = 0; n < predictions; n += 1) {
        const { crash, ...prediction } = behave(d.phone, d.held);
        d.device.report(model, d.held, prediction);
        if (crash) d.device.countCrash(model, d.held);
      }
      await d.device.flush();
    } catch {
      // The server is away, or the version was withdrawn between the answer and the download: ask again at the next turn.
    }
  }

  return {
    size,
    /** How many devices hold each version now. */
    holding(): Record<string, number> {
      const counts: Record<string, number> = {};
      for (const { held } of devices) if (held) counts[held] = (counts[held] ?? 0) + 1;
      return counts;
    },
    async run(): Promise<void> {
      while (!stopped) {
        await inParallel(devices, 16, turn);
        await pause(100);
      }
    },
    stop(): void {
      stopped = true;
    },
  };
}
