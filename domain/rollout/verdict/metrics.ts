/**
 * Pure. What is judged: one row a metric, read by the spec, the windows, the judge, pre-flight and whoever tells the outcome. A metric of yours is
 * one more row (docs/adding.md "A metric of the judge").
 */

/** How a window ends by itself, and when its bit is bad. */
export type Ending =
  /** At the first report with `size` samples since the base; bad when at least `bad` of `size` drawn ones are failures. */
  | { readonly by: 'samples'; readonly of: 'predictions' | 'timed' | 'labelled'; readonly size: number }
  /** When it happens; else with the stage. */
  | { readonly by: 'event' }
  /** With an outcome, good or bad. */
  | { readonly by: 'outcome' };

export interface Metric {
  readonly name: string;
  /** Whose limits and switches of the spec it follows: its own name, or that of the metric it is a second window of. */
  readonly policy: string;
  readonly ends: Ending;
  /** Failures of the drawn samples that make the bit bad; null: it depends on what the version promised ({@link badWrong}). */
  readonly bad: number | null;
  /** Which windows θ and A count: those that ended, or, where only bad ones end, those that opened. */
  readonly counts: 'ended' | 'opened';
  /** Canary is compared with control (G). Where only canary can have it, there is nothing to compare. */
  readonly compared: boolean;
  /** Default share of devices that may be bad (A); null: off. */
  readonly limit: number | null;
  /** Share of devices that harms nobody; null: its limit. */
  readonly negligible: number | null;
  /** Default of `slower`, where a sample of canary is compared with a multiple of q. */
  readonly slower?: number;
  /** Default of `after`, where a window ends by time. */
  readonly after?: string;
  /** Its health is proven or not; a second window only convicts. */
  readonly proves: boolean;
  /** False: what fails is the way to the device. It holds, and never marks a version (docs/adr/0006-downloads-never-convict.md). */
  readonly blames: boolean;
  /** Sent by every device that is told; the others count as measured if control sent them before the start. */
  readonly always: boolean;
  /** Share of bad devices that pre-flight expects where nothing is known. */
  readonly usual: number;
}

/** P(at least 2 of 20 predictions fail at a rate of 5 %), in whole millionths. */
const ERRORS_LIMIT = 0.264_16;

const base: Metric = {
  name: '',
  policy: '',
  ends: { by: 'event' },
  bad: null,
  counts: 'ended',
  compared: true,
  limit: null,
  negligible: null,
  proves: true,
  blames: true,
  always: false,
  usual: 0.01,
};
const metric = (name: string, row: Partial<Metric>): Metric => ({ ...base, name, policy: name, ...row });

const errors = metric('errors', {
  ends: { by: 'samples', of: 'predictions', size: 20 },
  bad: 2,
  limit: ERRORS_LIMIT,
  negligible: 0.017,
});
const latency = metric('latency_p95', {
  ends: { by: 'samples', of: 'timed', size: 50 },
  bad: 7,
  slower: 1.1,
  usual: 0.05,
});

export const METRICS: readonly Metric[] = [
  errors,
  { ...errors, name: 'errors_late', proves: false },
  latency,
  { ...latency, name: 'latency_late', proves: false },
  metric('crash', { counts: 'opened', limit: 0.01, negligible: 0.002, usual: 0.002 }),
  metric('silence', { counts: 'opened', after: '6h', usual: 0.02 }),
  metric('drift', { ends: { by: 'samples', of: 'labelled', size: 20 }, usual: 0.02 }),
  metric('download', {
    ends: { by: 'outcome' },
    compared: false,
    limit: 0.02,
    blames: false,
    always: true,
    usual: 0.005,
  }),
  metric('install', {
    ends: { by: 'outcome' },
    compared: false,
    limit: 0.01,
    blames: false,
    always: true,
    usual: 0.002,
  }),
];

/**
 * `drift`: wrong answers of `size` drawn that are too many, more than size · (1 − accuracy + 0.10).
 *
 * @param accuracy of the stable version on its validation data, in whole millionths, so that no rounding decides
 */
export const badWrong = (size: number, accuracy: number): number =>
  Math.floor((size * (1_100_000 - accuracy)) / 1_000_000) + 1;
