/**
 * The windows of devices, folded a second time from what was sent, in plain TypeScript and with nothing of the store: for tests that hold the two
 * against each other.
 */
import {
  downloadBit,
  METRICS,
  sampleBit,
  segmentsOf,
  stratumOf,
  tallyOf,
  toldSlots,
  uniformOf,
  watchedSlots,
  without,
  type CanaryCount,
  type EvidenceCell,
  type MetricEvidence,
  type Stratum,
  type WatchedStage,
} from '../../domain/rollout/verdict/index.ts';
import type { Arm } from '../../domain/rollout/arms.ts';
import { bucketMicros } from '../../domain/rollout/latency.ts';
import type { Report } from './report.ts';

/** A device of the test. */
export interface Phone {
  readonly id: string;
  readonly arm: Arm;
  readonly slot: number;
  readonly leaf: EvidenceCell;
}

/** The moment at which something reaches the server. */
export interface Moment {
  readonly clockMs: number;
  readonly width: number;
  readonly count: CanaryCount;
}

interface Window {
  readonly metric: string;
  readonly phone: Phone;
  readonly openedMs: number;
  seen: number;
  failed: number;
  isBad: boolean;
  isEnded: boolean;
}

/** Numbers of a session by their place in a report: `predictions.ok`, `latency.541`. */
type Numbers = Map<string, number>;

function numbersOf(report: Report): Numbers {
  const all: Numbers = new Map();
  const { predictions, downloads, loads, labelled, latency, crashes, fallbacks } = report;
  for (const [part, members] of Object.entries({ predictions, downloads, loads, labelled, latency })) {
    for (const [name, n] of Object.entries(members ?? {})) all.set(`${part}.${name}`, n);
  }
  if (crashes !== undefined) all.set('crashes', crashes);
  if (fallbacks !== undefined) all.set('fallbacks', fallbacks);
  return all;
}

/** One evidence stage. */
export function createSecondFold(stage: WatchedStage) {
  const windows = new Map<string, Window>();
  const sessions = new Map<string, { seq: number; numbers: Numbers }>();
  const predicted = new Map<string, number>();
  const key = (phone: Phone, metric: string) => `${phone.id} ${metric}`;
  const open = (phone: Phone, metric: string, { clockMs }: Moment): Window => {
    const window = { metric, phone, openedMs: clockMs, seen: 0, failed: 0, isBad: false, isEnded: false };
    windows.set(key(phone, metric), window);
    return window;
  };
  const end = (window: Window, isBad: boolean): void => {
    window.isEnded = true;
    window.isBad = isBad;
  };

  /** What the session adds; undefined for a duplicate. */
  function growth(
    phone: Phone,
    report: Report,
  ): (((name: string) => number) & { readonly numbers: Numbers }) | undefined {
    const id = `${phone.id} ${report.session} ${report.version}`;
    const last = sessions.get(id) ?? { seq: 0, numbers: new Map<string, number>() };
    if (report.seq <= last.seq) return undefined;
    const now = numbersOf(report);
    const added: Numbers = new Map([...now].map(([name, n]) => [name, n - (last.numbers.get(name) ?? 0)]));
    sessions.set(id, { seq: report.seq, numbers: new Map([...last.numbers, ...now]) });
    return Object.assign((name: string) => added.get(name) ?? 0, { numbers: added });
  }

  function samples(window: Window, of: string, more: ((name: string) => number) & { readonly numbers: Numbers }): void {
    const q =
      (stage.frozenQ[window.phone.leaf.platform ?? ''] ?? NaN) * (window.phone.arm === 'canary' ? stage.slower : 1);
    if (of === 'predictions') {
      window.seen += more('predictions.ok') + more('predictions.failed');
      window.failed += more('predictions.failed');
    } else if (of === 'labelled') {
      window.seen += more('labelled.total');
      window.failed += more('labelled.total') - more('labelled.correct');
    } else {
      for (const [name, n] of more.numbers) {
        if (!name.startsWith('latency.')) continue;
        window.seen += n;
        if (bucketMicros(Number(name.slice('latency.'.length))) > q) window.failed += n;
      }
    }
  }

  function move(
    window: Window,
    moment: Moment,
    more: ((name: string) => number) & { readonly numbers: Numbers },
    isBase: boolean,
  ): void {
    const { metric, phone } = window;
    const row = METRICS.find((m) => m.name === metric)!;
    const total = predicted.get(phone.id)!;
    const crashes = more('crashes') + more('fallbacks');
    if (row.ends.by === 'samples') {
      if (isBase || window.isEnded) return;
      samples(window, row.ends.of, more);
      const bad = row.bad ?? Math.floor((row.ends.size * (1_100_000 - stage.accuracy!)) / 1e6) + 1;
      const bit = sampleBit(row.ends, window.seen, window.failed, bad, () =>
        uniformOf(String(stage.rolloutId), stage.stage, metric, phone.id),
      );
      if (bit !== undefined) end(window, bit);
    } else if (metric === 'crash') {
      if (crashes > 0 && total > 0) end(window, true);
    } else if (window.isEnded) {
      return;
    } else if (metric === 'install') {
      if (more('loads.failed') > 0 || (crashes > 0 && total === 0)) end(window, true);
      else if (total > 0) end(window, false);
    } else {
      const outcome = more('downloads.failed') > 0 ? 'failed' : more('downloads.ok') > 0 ? 'ok' : null;
      const bit = downloadBit(outcome, window.openedMs, moment.clockMs, Infinity);
      if (bit !== undefined) end(window, bit);
    }
  }

  const evidence = (metric: string, isIn: (phone: Phone) => boolean) => {
    const counts = METRICS.find((row) => row.name === metric)!.counts;
    const strata = new Map<number, { -readonly [K in keyof Stratum]: Stratum[K] }>();
    const opened: [number, number] = [0, 0];
    const ended: [number, number] = [0, 0];
    for (const window of windows.values()) {
      if (window.metric !== metric || !isIn(window.phone)) continue;
      const { arm } = window.phone;
      const at = arm === 'canary' ? 0 : 1;
      opened[at] += 1;
      if (window.isEnded) ended[at] += 1;
      const place = stratumOf(window.openedMs);
      const stratum = strata.get(place) ?? { canary: 0, control: 0, x: 0, y: 0 };
      strata.set(place, stratum);
      if (counts === 'opened' || window.isEnded) stratum[arm] += 1;
      if (window.isBad) stratum[at === 0 ? 'x' : 'y'] += 1;
    }
    return { opened, ended, strata };
  };

  return {
    report(phone: Phone, report: Report, moment: Moment): void {
      const more = growth(phone, report);
      if (!more) return;
      const before = predicted.get(phone.id) ?? 0;
      predicted.set(phone.id, before + more('predictions.ok') + more('predictions.failed'));
      const isWatched = windows.has(key(phone, 'crash'));
      const lateMs = stage.rampMs + stage.minBakeMs / 2;
      for (const window of [...windows.values()]) {
        if (window.phone.id === phone.id && window.metric !== 'silence') move(window, moment, more, false);
      }
      const canary = phone.arm === 'canary';
      const isAsked = canary || phone.slot < watchedSlots(moment.width, stage.to, moment.count);
      for (const row of METRICS) {
        if (windows.has(key(phone, row.name)) || row.name === 'silence') continue;
        const isSecond = row.policy !== row.name;
        const isMeasured = row.name === 'crash' || row.always || stage.measured.includes(row.name);
        if (!isMeasured || (row.always && !canary)) continue;
        if (row.policy === 'latency_p95' && stage.frozenQ[phone.leaf.platform ?? ''] === undefined) continue;
        if (row.name === 'drift' && stage.accuracy === null) continue;
        if (isSecond) {
          const first = windows.get(key(phone, 'crash'));
          if (!isWatched || moment.clockMs < lateMs || first!.openedMs >= lateMs) continue;
        } else if (row.name === 'download') {
          if (more('downloads.started') + more('downloads.ok') + more('downloads.failed') === 0) continue;
        } else if (isWatched || !isAsked || (row.name === 'install' && before > 0)) continue;
        move(open(phone, row.name, moment), moment, more, true);
      }
    },
    told(phone: Phone, moment: Moment): void {
      if (windows.has(key(phone, 'silence'))) return;
      if (phone.arm === 'control' && phone.slot >= toldSlots(moment.width, stage.to)) return;
      open(phone, 'silence', moment);
    },
    /** @param lastMs stage clock of the device's newest contact */
    sweep(clockMs: number, lastMs: (phone: Phone) => number): void {
      for (const window of windows.values()) {
        const isOld = clockMs - window.openedMs >= stage.silenceAfterMs;
        if (window.metric === 'crash' && isOld) window.isEnded = true;
        if (window.metric === 'download' && isOld && !window.isEnded) end(window, true);
        if (window.metric !== 'silence') continue;
        if (isOld) window.isEnded = true;
        if (clockMs - Math.max(window.openedMs, lastMs(window.phone)) >= stage.silenceAfterMs) window.isBad = true;
      }
    },
    evidence: (): MetricEvidence[] =>
      METRICS.map(({ name }) => {
        const whole = evidence(name, () => true);
        const segments = [...new Set([...windows.values()].flatMap((w) => segmentsOf(w.phone.leaf)))].sort();
        return {
          metric: name,
          whole: tallyOf(whole.strata.values()),
          opened: whole.opened,
          ended: whole.ended,
          segments: segments
            .map((segment) => ({
              segment,
              ...tallyOf(evidence(name, ({ leaf }) => segmentsOf(leaf).includes(segment)).strata.values()),
            }))
            .filter(({ x }) => x > 0),
        };
      }),
    restOf(metric: string, segment: string) {
      const whole = evidence(metric, () => true).strata;
      const part = evidence(metric, ({ leaf }) => segmentsOf(leaf).includes(segment)).strata;
      const none: Stratum = { canary: 0, control: 0, x: 0, y: 0 };
      return tallyOf([...whole].map(([at, stratum]) => without(stratum, part.get(at) ?? none)));
    },
  };
}
