/**
 * A device: registers once, asks which version it should run, downloads and checks it, trains on its own data, and reports
 * counters. Reports are cumulative integers with a sequence number, so a report that was sent twice counts once.
 */
import { sha256Hex, reprDigest } from './digest.ts';
import { ChecksumMismatch, NotFound } from './errors.ts';
import { DeviceAuth } from './deviceAuth.ts';
import { Http, type ClientOptions } from './http.ts';
import { segment } from './registry.ts';
import type { CheckInAnswer, AssignedVersion, DownloadLink, ReportAnswer, Task, UpdateReceipt } from './types.ts';
import { latencyBucket } from '../domain/rollout/latency.ts';
import { decodeTensors, encodeUpdate, type Weights } from './weights.ts';
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
}

export interface Fit {
  readonly delta: Weights;
  readonly samples: number;
  /** Sums over the samples. */
  readonly metrics?: { readonly n: number; readonly loss_sum: number; readonly correct: number };
}

interface Cumulative {
  /** Of the last report. */
  seq: number;
  predictions: { ok: number; failed: number };
  downloads: { ok: number; failed: number };
  latency: Record<string, number>;
  changed: boolean;
}

export class Device {
  readonly http: Http;
  readonly #auth: DeviceAuth;
  readonly #counters = new Map<string, Cumulative>();

  constructor(options: DeviceOptions) {
    this.#auth = new DeviceAuth(options);
    this.http = new Http(options, this.#auth);
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
    const counters = this.#of(model, version);
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
      counters.downloads.ok += 1;
      return bytes;
    } catch (error) {
      counters.downloads.failed += 1;
      throw error;
    } finally {
      counters.changed = true;
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
    const update = encodeUpdate({
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

  /** Counts one prediction; nothing is sent before {@link flush}. */
  report(model: string, version: string, r: { readonly ok: boolean; readonly latencyMs?: number }): void {
    const counters = this.#of(model, version);
    counters.predictions[r.ok ? 'ok' : 'failed'] += 1;
    if (r.latencyMs !== undefined) {
      const bucket = String(latencyBucket(Math.max(1, Math.round(r.latencyMs * 1000))));
      counters.latency[bucket] = (counters.latency[bucket] ?? 0) + 1;
    }
    counters.changed = true;
  }

  /**
   * Sends what changed. Each report has a sequence number of its own, also one that repeats another whose answer was lost: its
   * numbers are cumulative, so they count once, and what was counted meanwhile is not dropped as a repeat. What could not be sent,
   * and what is counted while a report is under way, goes with the next call.
   */
  async flush(): Promise<ReportAnswer[]> {
    const id = await this.id();
    const answers: ReportAnswer[] = [];
    for (const [key, counters] of this.#counters) {
      if (!counters.changed) continue;
      const [model, version] = JSON.parse(key) as [string, string]; // written by #of
      counters.seq += 1;
      counters.changed = false;
      const { seq, predictions, downloads, latency } = counters;
      // A copy: the transport may send it more than once, and the same number must mean the same report.
      const body = structuredClone({ model, version, seq, predictions, downloads, latency });
      try {
        answers.push(await this.http.json('POST', `/lifecycle/v1/devices/${id}/reports`, { body }));
      } catch (error) {
        counters.changed = true;
        throw error;
      }
    }
    return answers;
  }

  #of(model: string, version: string): Cumulative {
    const key = JSON.stringify([model, version]);
    let counters = this.#counters.get(key);
    if (!counters) {
      counters = {
        // Above whatever an earlier process of this device sent: the server drops what does not grow.
        seq: Date.now(),
        predictions: { ok: 0, failed: 0 },
        downloads: { ok: 0, failed: 0 },
        latency: {},
        changed: false,
      };
      this.#counters.set(key, counters);
    }
    return counters;
  }
}
