/** Pure. Where it was worst: bad outcomes of the canary beyond what the control of the same segment explains. For reading only. */
import { BUCKETS } from './assignment.ts';
import { sumCells, type Cell } from './counters.ts';

export interface Segment {
  readonly dimension: 'platform' | 'os';
  /** `ios`, or `ios 17`. */
  readonly value: string;
  /** Canary: devices, and bad of all. */
  readonly devices: number;
  readonly bad: number;
  readonly total: number;
  readonly control_bad: number;
  readonly control_total: number;
  /** x − y · θ/(1 − θ), summed over the stages; θ is the canary's share of the cohort. */
  readonly excess: number;
}

/**
 * Segments by falling excess, then by name; those with nothing to tell are left out. Operating systems are listed where a
 * platform has several.
 *
 * @param widths      buckets of each stage at the end of its ramp
 * @param isDownloads bad is a failed download, not a failed prediction
 * @source docs/design/rollout.md "Post-mortem"
 */
export function rankSegments(
  leaves: readonly Cell[],
  widths: ReadonlyMap<number, number>,
  isDownloads: boolean,
): Segment[] {
  const platforms = [...new Set(leaves.map((l) => l.platform))];
  const segments = platforms.flatMap((platform) => {
    const own = leaves.filter((l) => l.platform === platform);
    const majors = [...new Set(own.map((l) => l.osMajor))];
    const systems = majors.length < 2 ? [] : majors.map((os) => ({ os, some: own.filter((l) => l.osMajor === os) }));
    return [
      segmentOf('platform', platform, own, widths, isDownloads),
      ...systems.map(({ os, some }) => segmentOf('os', `${platform} ${os}`, some, widths, isDownloads)),
    ];
  });
  return segments.filter((s) => s.total > 0).sort((a, b) => b.excess - a.excess || (a.value < b.value ? -1 : 1));
}

function segmentOf(
  dimension: Segment['dimension'],
  value: string,
  leaves: readonly Cell[],
  widths: ReadonlyMap<number, number>,
  isDownloads: boolean,
): Segment {
  let excess = 0;
  let devices = 0;
  for (const stage of new Set(leaves.map((l) => l.stage))) {
    const arms = sumCells(leaves.filter((l) => l.stage === stage));
    const bad = isDownloads ? arms.canary.download_failures : arms.canary.errors;
    const controlBad = isDownloads ? arms.control.download_failures : arms.control.errors;
    const width = widths.get(stage) ?? 0;
    // At 100 % there is no control: all of it is excess.
    excess += bad - (width < BUCKETS ? (controlBad * width) / (BUCKETS - width) : 0);
    devices = Math.max(devices, arms.canary.devices);
  }
  const { canary, control } = sumCells(leaves);
  return {
    dimension,
    value,
    devices,
    bad: isDownloads ? canary.download_failures : canary.errors,
    total: isDownloads ? canary.downloads : canary.predictions,
    control_bad: isDownloads ? control.download_failures : control.errors,
    control_total: isDownloads ? control.downloads : control.predictions,
    excess: Math.round(excess * 100) / 100,
  };
}
