/** A fleet: what of each device does not change from stage to stage. Typed arrays, since a fleet has up to a million devices. */
import { BUCKETS, hashWords } from '../../domain/rollout/assignment.ts';
import { segmentsOf, type EvidenceCell } from '../../domain/rollout/verdict/index.ts';
import { normal, twoNormals, type Random } from './random.ts';
import type { World } from './world.ts';

/** Above it buckets are drawn: the hash itself is pinned by `domain/rollout/golden/assignment.json`. */
const HASHED = 100_000;

/** Shares of the operating systems, by falling size. */
const OS_SHARES = [0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02, 0.01, 0.007, 0.003] as const;
const REGIONS = 6;
const APP_SHARES = [0.5, 0.3, 0.2] as const;

/** Every kind of device, with its share of the fleet. */
export const LEAVES: readonly (EvidenceCell & { readonly share: number })[] = OS_SHARES.flatMap((share, os) =>
  Array.from({ length: REGIONS * APP_SHARES.length }, (_unused, i) => ({
    platform: os % 2 === 0 ? 'android' : 'ios',
    osMajor: String(10 + os),
    app: `3.${i % APP_SHARES.length}`,
    region: `r${Math.floor(i / APP_SHARES.length)}`,
    share: (share * APP_SHARES[i % APP_SHARES.length]!) / REGIONS,
  })),
);
const PER_OS = REGIONS * APP_SHARES.length;
export const osOf = (leaf: number): number => Math.floor(leaf / PER_OS);
/** The segment of an operating system by its place among the shares. */
export const osSegment = (os: number): string => segmentsOf(LEAVES[os * PER_OS]!).find((s) => s.startsWith('os:'))!;

export const FRAIL = { errors: 1, latency: 2, crash: 4, silence: 8, drift: 16 } as const;

export interface Fleet {
  readonly size: number;
  readonly bucket: Uint16Array;
  readonly slot: Uint16Array;
  readonly leaf: Uint8Array;
  /** Predictions an hour while its person is awake. */
  readonly usage: Float64Array;
  /** Hours between two reports. */
  readonly report: Float64Array;
  /** Hours that its clock is ahead. */
  readonly zone: Float64Array;
  /** Logarithm of how much slower it is than the fleet. */
  readonly speed: Float64Array;
  /** Runs a version older than the stable one. */
  readonly old: Uint8Array;
  /** Between 0 and 1: whether the new version's fault hits it. */
  readonly luck: Float64Array;
  /** In which metrics it is bad in every stage; bits of {@link FRAIL}. */
  readonly frail: Uint8Array;
}

function pick(shares: readonly number[], u: number): number {
  let at = 0;
  for (let sum = shares[0]!; u >= sum && at < shares.length - 1; sum += shares[at]!) at += 1;
  return at;
}

export function createFleet(random: Random, world: World, seed: number): Fleet {
  const size = world.devices;
  const fleet: Fleet = {
    size,
    bucket: new Uint16Array(size),
    slot: new Uint16Array(size),
    leaf: new Uint8Array(size),
    usage: new Float64Array(size),
    report: new Float64Array(size),
    zone: new Float64Array(size),
    speed: new Float64Array(size),
    old: new Uint8Array(size),
    luck: new Float64Array(size),
    frail: new Uint8Array(size),
  };
  const frail = Object.entries(FRAIL).map(
    ([name, bit]) => [bit, world.frail * world.bad[name as keyof typeof FRAIL]] as const,
  );
  const isTimed = world.simulated.includes('latency_p95');
  for (let i = 0; i < size; i += 1) {
    if (size > HASHED) {
      fleet.bucket[i] = random() * BUCKETS;
      fleet.slot[i] = random() * BUCKETS;
    } else {
      // `bucketOf` and `slotOf` of one hash.
      const [first, second] = hashWords(`m-1:${seed}:d-${i}`);
      fleet.bucket[i] = first % BUCKETS;
      fleet.slot[i] = second % BUCKETS;
    }
    const os = pick(OS_SHARES, random());
    fleet.leaf[i] = os * PER_OS + Math.floor(random() * REGIONS) * APP_SHARES.length + pick(APP_SHARES, random());
    const [usage, report] = twoNormals(random);
    fleet.usage[i] = world.usage * Math.exp(world.usageSpread * usage);
    fleet.report[i] = world.reportHours * Math.exp(0.3 * report);
    fleet.zone[i] = world.zones * random() + 2 * (random() + random() + random() - 1.5);
    if (isTimed) fleet.speed[i] = 0.2 * normal(random);
    fleet.old[i] = random() < world.older ? 1 : 0;
    fleet.luck[i] = random();
    for (const [bit, share] of frail) if (random() < share) fleet.frail[i]! |= bit;
  }
  return fleet;
}
