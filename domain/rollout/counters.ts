/** Pure. Counters of arms add up: integers only, so the order of reports and the number of shards do not matter. */
import type { ArmCounters } from '../events/rollout.ts';
import type { Arm } from './arms.ts';

export interface Arms {
  readonly canary: ArmCounters;
  readonly control: ArmCounters;
}

/** The smallest group that is counted apart. */
export interface Cell {
  readonly stage: number;
  readonly arm: Arm;
  readonly platform: string;
  readonly osMajor: string;
  readonly counters: ArmCounters;
}

const EMPTY: ArmCounters = { devices: 0, predictions: 0, errors: 0, downloads: 0, download_failures: 0, latency: {} };

export function addArms(a: ArmCounters, b: ArmCounters): ArmCounters {
  const latency: Record<string, number> = { ...a.latency };
  for (const [bucket, n] of Object.entries(b.latency)) latency[bucket] = (latency[bucket] ?? 0) + n;
  return {
    devices: a.devices + b.devices,
    predictions: a.predictions + b.predictions,
    errors: a.errors + b.errors,
    downloads: a.downloads + b.downloads,
    download_failures: a.download_failures + b.download_failures,
    latency,
  };
}

/** Both arms over all leaves given; an arm without any is all zeros. */
export function sumCells(leaves: readonly Cell[]): Arms {
  const of = (arm: Arm) => leaves.filter((l) => l.arm === arm).reduce((sum, l) => addArms(sum, l.counters), EMPTY);
  return { canary: of('canary'), control: of('control') };
}

/** Both arms of each platform, by name. */
export function sumByPlatform(leaves: readonly Cell[]): Readonly<Record<string, Arms>> {
  const platforms = [...new Set(leaves.map((l) => l.platform))].sort();
  return Object.fromEntries(platforms.map((p) => [p, sumCells(leaves.filter((l) => l.platform === p))]));
}

const PLAIN = /^[a-z0-9][a-z0-9_.-]{0,19}$/;

/** The platform a report is counted under; free text must not make a leaf of each device. */
export function cellPlatform(platform: string | null): string {
  if (!platform) return 'unknown';
  const lower = platform.toLowerCase();
  return PLAIN.test(lower) ? lower : 'other';
}

/** `17.4.1` → `17`, `Android 14` → `14`; `unknown` where there is no such number, as in a browser's user agent. */
export function cellOsMajor(osVersion: string | null): string {
  return /^(?:[A-Za-z]+ )?(\d{1,3})(?:[.\s-]|$)/.exec(osVersion ?? '')?.[1] ?? 'unknown';
}
