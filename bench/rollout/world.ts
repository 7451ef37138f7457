/** What happens to a fleet in one stage: how it is used, what breaks for everyone, and what is wrong with the new version. Hours of wall time. */

/** Predictions fail at `rate` in both arms. */
export interface Outage {
  readonly from: number;
  readonly to: number;
  readonly rate: number;
}

/** What is wrong with the new version. */
export interface Wrong {
  /** Share of its devices whose predictions fail at `rate`. */
  readonly errors?: { readonly share: number; readonly rate: number; readonly from?: number };
  /** Share of its devices that crash after their first prediction. */
  readonly crash?: number;
  /** Share of its devices that are never heard of again once they run it. */
  readonly bricked?: number;
  /** How many times as long a prediction takes. */
  readonly slower?: number;
  /** Only on this operating system, by its place among the shares. */
  readonly os?: number;
}

export interface World {
  readonly devices: number;
  readonly reportHours: number;
  readonly contactHours: number;
  readonly usage: number;
  readonly usageSpread: number;
  /** Of canary, times the usual. */
  readonly canaryUsage: number;
  /** Hours over which the clocks of the fleet are spread. */
  readonly zones: number;
  readonly startHour: number;
  /** Phones are off at night; otherwise they are only not used. */
  readonly asleep: boolean;
  readonly older: number;
  /** Mean hours from told to active, and the share that never gets there. */
  readonly lagHours: number;
  readonly never: number;
  /** Share of devices that are bad in a stage, by metric. */
  readonly bad: Readonly<Record<'errors' | 'latency' | 'crash' | 'silence' | 'drift' | 'download' | 'install', number>>;
  /** Share of the bad devices that are bad in every stage; the others fail by chance. */
  readonly frail: number;
  /** Validation accuracy of the stable version, and that of both in the field, in millionths. */
  readonly accuracy: { readonly validated: number; readonly field: number };
  readonly outages: readonly Outage[];
  readonly wrong: Wrong;
  /** Telemetry that does not come through, and arrives at its end. */
  readonly cut?: { readonly from: number; readonly to: number; readonly whose: 'all' | 'control' };
  /** Predictions of one session of the app; absent: it lives long. */
  readonly session?: number;
  /** Metrics that are simulated; the tests are those of all. */
  readonly simulated: readonly string[];
}

export const WORLD: World = {
  devices: 20_000,
  reportHours: 1 / 12,
  contactHours: 1 / 12,
  usage: 6,
  usageSpread: 0.8,
  canaryUsage: 1,
  zones: 0,
  startHour: 12,
  asleep: false,
  older: 0,
  lagHours: 2,
  never: 0.05,
  bad: { errors: 0.01, latency: 0.05, crash: 0.002, silence: 0.02, drift: 0.02, download: 0.005, install: 0.002 },
  frail: 0.5,
  accuracy: { validated: 880_000, field: 930_000 },
  outages: [],
  wrong: {},
  simulated: ['errors', 'errors_late', 'crash', 'silence', 'download', 'install'],
};
