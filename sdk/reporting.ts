/**
 * What one process of a device counts, and its reports to the server. Numbers are cumulative within the session, which is drawn here; no
 * clock is used. Nothing is kept on the device: a process that ends loses what it has not sent, and the next one is a new session.
 */
import { latencyBucket } from '../domain/rollout/latency.ts';
import { EdgeMLError } from './errors.ts';
import type { DeviceReport, ReportAnswer } from './types.ts';

/** What was refused for good: it is not sent again, and its numbers are given up. */
export interface RefusedReport {
  readonly model: string;
  readonly version: string;
  /** Why, as the server says it. */
  readonly error: EdgeMLError;
}

type Counts = Required<Omit<DeviceReport, 'session' | 'seq' | 'acked' | 'model' | 'version'>>;

interface Entry {
  readonly model: string;
  readonly version: string;
  readonly counts: Counts;
  /** What the newest report said. It may have arrived, whatever we heard of it. */
  sent: Counts;
  hasNews: boolean;
  isRefused: boolean;
}

const none = (): Counts => ({
  predictions: { ok: 0, failed: 0 },
  downloads: { started: 0, ok: 0, failed: 0 },
  loads: { ok: 0, failed: 0 },
  latency: {},
  crashes: 0,
  fallbacks: 0,
  labelled: { correct: 0, total: 0 },
});

export class Reporting {
  readonly #onRefused: ((refused: RefusedReport) => void) | undefined;
  readonly #entries = new Map<string, Entry>();
  #session = globalThis.crypto.randomUUID();
  /** Of the newest report, and of the newest that was answered. */
  #seq = 0;
  #acked = 0;

  /** @param onRefused without it, `flush` throws what was refused for good, after it has sent the rest */
  constructor(onRefused?: (refused: RefusedReport) => void) {
    this.#onRefused = onRefused;
  }

  /** Changes what is counted of a version; nothing is sent. */
  count(model: string, version: string, change: (counts: Counts) => void): void {
    const key = JSON.stringify([model, version]);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { model, version, counts: none(), sent: none(), hasNews: false, isRefused: false };
      this.#entries.set(key, entry);
    }
    if (entry.isRefused) return;
    change(entry.counts);
    entry.hasNews = true;
  }

  /**
   * Sends what changed, one report for each model and version. What could not be sent, and what is counted while a report is under way,
   * goes with the next call; its numbers are cumulative, so nothing counts twice. A report that is refused for good is set aside, and the
   * others are sent. No answer at all, or a server that has no time, ends the call.
   *
   * @throws EdgeMLError the first fault, after all that could be sent was sent
   */
  async flush(send: (report: DeviceReport) => Promise<ReportAnswer>): Promise<ReportAnswer[]> {
    const answers: ReportAnswer[] = [];
    let fault: Error | undefined;
    for (const entry of [...this.#entries.values()]) {
      if (!entry.hasNews || entry.isRefused) continue;
      try {
        answers.push(await this.#send(entry, send));
      } catch (error) {
        if (error instanceof EdgeMLError && isForGood(error)) {
          entry.isRefused = true;
          if (this.#onRefused) this.#onRefused({ model: entry.model, version: entry.version, error });
          else fault ??= error;
          continue;
        }
        entry.hasNews = true;
        this.#toTheEnd(entry);
        if (!(error instanceof EdgeMLError) || isAway(error)) throw fault ?? error;
        fault ??= error;
      }
    }
    if (fault) throw fault;
    return answers;
  }

  /** A sequence number of its own for each report: what was counted since the last one is not dropped as a repeat. */
  async #send(entry: Entry, send: (report: DeviceReport) => Promise<ReportAnswer>): Promise<ReportAnswer> {
    const [session, seq, acked] = [this.#session, (this.#seq += 1), this.#acked];
    entry.hasNews = false;
    // A copy: the transport may send it more than once, and the same number must mean the same report.
    entry.sent = structuredClone(entry.counts);
    const answer = await send({ session, seq, acked, model: entry.model, version: entry.version, ...entry.sent });
    if (session !== this.#session) return answer; // another report has heard meanwhile that the session is forgotten
    if (answer.forgotten) this.#beginAgain();
    else this.#acked = Math.max(this.#acked, seq);
    return answer;
  }

  /** The server cannot tell what it counted of this session. What was never sent was not counted: that alone goes on in a new one. */
  #beginAgain(): void {
    this.#session = globalThis.crypto.randomUUID();
    this.#seq = 0;
    this.#acked = 0;
    for (const entry of this.#entries.values()) {
      subtract(entry.counts, entry.sent);
      entry.sent = none();
    }
  }

  /** One that fails again and again does not keep the others from being sent. */
  #toTheEnd(entry: Entry): void {
    const key = JSON.stringify([entry.model, entry.version]);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }
}

export function countPrediction(counts: Counts, ok: boolean, latencyMs: number | undefined): void {
  counts.predictions[ok ? 'ok' : 'failed'] += 1;
  if (latencyMs === undefined) return;
  const bucket = String(latencyBucket(Math.max(1, Math.round(latencyMs * 1000))));
  counts.latency[bucket] = (counts.latency[bucket] ?? 0) + 1;
}

function subtract(counts: Counts, sent: Counts): void {
  const minus = (from: Record<string, number>, what: Readonly<Record<string, number>>) => {
    for (const [name, n] of Object.entries(what)) from[name] = (from[name] ?? 0) - n;
  };
  for (const member of ['predictions', 'downloads', 'loads', 'latency', 'labelled'] as const) {
    minus(counts[member], sent[member]);
  }
  counts.crashes -= sent.crashes;
  counts.fallbacks -= sent.fallbacks;
}

/** Statuses about who asks or when, not about what a report says. */
const NOT_OF_THE_REPORT = new Set([401, 403, 408, 429]);
const NOT_OF_THIS_ONE = new Set(['device_not_registered', 'route_not_found']);

/** Our server refused this report, and would again. A proxy's page is not its word. */
const isForGood = ({ status, code, problem }: EdgeMLError): boolean =>
  status >= 400 &&
  status < 500 &&
  problem?.retryable === false &&
  !NOT_OF_THE_REPORT.has(status) &&
  !NOT_OF_THIS_ONE.has(code);

/** The next report would fare the same. */
const isAway = ({ status, code }: EdgeMLError): boolean =>
  status === 0 || NOT_OF_THE_REPORT.has(status) || status > 500 || NOT_OF_THIS_ONE.has(code);
