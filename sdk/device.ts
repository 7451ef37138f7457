/**
 * A device: registers once, asks which version it should run, downloads and checks it, trains on its own data, and reports
 * counters. One object is one session of reports: made when the process starts, and kept while it runs.
 */
import { sha256Hex, reprDigest } from './digest.ts';
import { ChecksumMismatch, NotFound } from './errors.ts';
import { DeviceAuth } from './deviceAuth.ts';
import { Http, type ClientOptions } from './http.ts';
import { segment } from './registry.ts';
import { countPrediction, Reporting, type RefusedReport } from './reporting.ts';
import type { CheckInAnswer, AssignedVersion, DownloadLink, ReportAnswer, Task, UpdateReceipt } from './types.ts';
import { decodeTensors, updateFile, type Weights } from './weights.ts';
import { cutText } from '../domain/text.ts';

export interface DeviceOptions extends ClientOptions {
  readonly deviceIdentifier: string;
  readonly platform: string;
  readonly osVersion?: string;
  readonly appVersion?: string;
  /** The token that an earlier process of this device was given last. */
  readonly token?: string;
  /** Called with each token that the device is given: keep the last one where a later process finds it. */
  readonly onToken?: (token: string) => void;
  /** Told of a report that the server refuses for good; without it {@link Device.flush} throws it. */
  readonly onReportRefused?: (refused: RefusedReport) => void;
}

export interface Fit {
  readonly delta: Weights;
  readonly samples: number;
  /** Sums over the samples. */
  readonly metrics?: { readonly n: number; readonly loss_sum: number; readonly correct: number };
}

export class Device {
  readonly http: Http;
  readonly #auth: DeviceAuth;
  readonly #reporting: Reporting;

  constructor(options: DeviceOptions) {
    this.#auth = new DeviceAuth(options);
    this.http = new Http(options, this.#auth);
    this.#reporting = new Reporting(options.onReportRefused);
  }

  /** The id the server issued; registers on first use. The same identifier always gets the same id. */
  id(): Promise<string> {
    return this.#auth.id();
  }

  /** Which version to run now; undefined where none is in force for this device. */
  async assignment(model: string): Promise<AssignedVersion | undefined> {
    const id = await this.id();
    try {
      return await this.http.json('GET', `/api/v1/devices/${id}/models/${segment(model)}/version`, {
        query: { include_bucket: true },
      });
    } catch (error) {
      if (error instanceof NotFound && error.code === 'assignment_not_found') return undefined;
      throw error;
    }
  }

  async heartbeat(): Promise<void> {
    this.#auth.keep(await this.http.json('POST', `/api/v1/devices/${await this.id()}/heartbeat`, { body: {} }));
  }

  /** Bytes of a version in a format. @throws ChecksumMismatch: bytes whose SHA-256 differs are never returned */
  async download(model: string, version: string, format = 'onnx'): Promise<Uint8Array<ArrayBuffer>> {
    const count = (how: 'started' | 'ok' | 'failed') =>
      this.#reporting.count(model, version, (counts) => (counts.downloads[how] += 1));
    count('started');
    try {
      const path = `/api/v1/models/${segment(model)}/versions/${segment(version)}/download-url`;
      const link: DownloadLink = await this.http.json('GET', path, { query: { format } });
      const { bytes } = await this.http.send('GET', link.url);
      if (sha256Hex(bytes) !== link.checksum) {
        throw new ChecksumMismatch(
          `${model}@${version} ${format}: SHA-256 differs from ${link.checksum}`,
          200,
          undefined,
          {
            code: 'checksum_mismatch',
          },
        );
      }
      count('ok');
      return bytes;
    } catch (error) {
      count('failed');
      throw error;
    }
  }

  /**
   * Takes part in one round: checks in, downloads the base, lets `fit` train, uploads the change.
   *
   * @returns the receipt; null where no round wants this device now
   * @throws what `fit` throws, after the task was given back
   */
  async train(
    fit: (base: Weights, task: Task) => Promise<Fit> | Fit,
    options: { readonly runs?: readonly string[] } = {},
  ): Promise<UpdateReceipt | null> {
    const deviceId = await this.id();
    const answer: CheckInAnswer = await this.http.json('POST', '/lifecycle/v1/training/checkin', {
      body: { device_id: deviceId, ...(options.runs ? { runs: options.runs } : {}) },
    });
    const { task } = answer;
    if (!task) return null;
    let result: Fit;
    try {
      const { bytes } = await this.http.send('GET', task.base.url);
      if (sha256Hex(bytes) !== task.base.sha256) {
        throw new ChecksumMismatch(`base of ${task.round_id}: SHA-256 differs`, 200, undefined, {
          code: 'checksum_mismatch',
        });
      }
      result = await fit(decodeTensors(bytes), task);
    } catch (error) {
      await this.http.json('POST', `/lifecycle/v1/training/tasks/${task.task_id}/abort`, {
        body: { phase: 'fit', reason: cutText(String(error), 200) },
        headers: { 'edgeml-lease': task.lease },
      });
      throw error;
    }
    const update = updateFile({
      base: task.base.sha256,
      round: task.round_id,
      task: task.task_id,
      samples: result.samples,
      metrics: result.metrics ?? {},
      deltas: result.delta,
    });
    return this.http.json('PUT', `/lifecycle/v1/training/tasks/${task.task_id}/update`, {
      raw: update,
      headers: {
        'content-type': 'application/octet-stream',
        'edgeml-lease': task.lease,
        'repr-digest': reprDigest(update),
      },
    });
  }

  /** Counts one prediction. Nothing that is counted is sent before {@link flush}. */
  report(model: string, version: string, r: { readonly ok: boolean; readonly latencyMs?: number }): void {
    this.#reporting.count(model, version, (counts) => countPrediction(counts, r.ok, r.latencyMs));
  }

  /** Counts one try to load a version into memory, ready to predict. */
  countLoad(model: string, version: string, ok: boolean): void {
    this.#reporting.count(model, version, (counts) => (counts.loads[ok ? 'ok' : 'failed'] += 1));
  }

  /** Counts one end of the app while this version was loaded. The next process tells it: the dead one cannot. */
  countCrash(model: string, version: string): void {
    this.#reporting.count(model, version, (counts) => (counts.crashes += 1));
  }

  /** Counts that this version was given up for another one. */
  countFallback(model: string, version: string): void {
    this.#reporting.count(model, version, (counts) => (counts.fallbacks += 1));
  }

  /** Counts one prediction whose right answer became known. */
  countLabelled(model: string, version: string, correct: boolean): void {
    this.#reporting.count(model, version, (counts) => {
      counts.labelled.total += 1;
      if (correct) counts.labelled.correct += 1;
    });
  }

  /**
   * Sends what was counted since the last report, one report for each model and version. What could not be sent goes with the next call,
   * and nothing counts twice. One that is refused for good is told to `onReportRefused` and set aside; the others are sent.
   *
   * @returns the answers
   * @throws EdgeMLError the first fault, after all that could be sent was sent
   */
  async flush(): Promise<ReportAnswer[]> {
    const id = await this.id();
    return this.#reporting.flush((body) => this.http.json('POST', `/lifecycle/v1/devices/${id}/reports`, { body }));
  }
}
