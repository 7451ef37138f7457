/** A fleet before a rollout starts: its devices by leaf, and what the stable version sends. Reads only; concurrent. */
import { isInCohort } from '../../domain/rollout/cohort.ts';
import { latencyQuantile } from '../../domain/rollout/latency.ts';
import { deviceLeaf, METRICS, type EvidenceReader, type FleetReading } from '../../domain/rollout/verdict/index.ts';
import { createModelOwners } from '../orgs/modelOwners.ts';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';

interface Group extends Record<string, unknown> {
  platform: string | null;
  os_version: string | null;
  app_version: string | null;
  region: string | null;
  devices: number;
  share: number;
}
interface Sent extends Record<string, unknown> {
  platform: string | null;
  predictions: boolean;
  labelled: boolean;
  latency: Record<string, number>;
}

const LEAVES = namedSql('fleet_leaves');
const SENT = namedSql('fleet_sent');
/** Devices whose sessions stand for all: enough for a percentile within 1 %, and few enough for a question before a start. */
const SAMPLE = 5_000;
/** Devices that are counted one by one; a larger fleet is counted by as many. */
const COUNTED = 100_000;

function leavesOf(groups: readonly Group[]): FleetReading['leaves'] {
  const leaves = new Map<string, FleetReading['leaves'][number]>();
  for (const { platform, os_version: osVersion, app_version: appVersion, region, devices } of groups) {
    const leaf = deviceLeaf({ platform, osVersion, appVersion, region });
    const key = JSON.stringify(leaf);
    leaves.set(key, { ...leaf, devices: devices + (leaves.get(key)?.devices ?? 0) });
  }
  const share = groups[0]?.share ?? 1;
  return [...leaves.values()].map((leaf) => ({ ...leaf, devices: Math.round(leaf.devices / share) }));
}

/** 95th percentiles of platforms that a leaf can name. */
function quantiles(sent: readonly Sent[]): Readonly<Record<string, number>> {
  const counts = new Map<string, Record<string, number>>();
  for (const { platform: said, latency } of sent) {
    const { platform } = deviceLeaf({ platform: said });
    if (platform === null) continue;
    const sum = counts.get(platform) ?? {};
    for (const [bucket, n] of Object.entries(latency)) sum[bucket] = (sum[bucket] ?? 0) + n;
    counts.set(platform, sum);
  }
  return Object.fromEntries(
    [...counts].flatMap(([platform, latency]) => {
      const q = latencyQuantile(latency, 95);
      return q === undefined ? [] : [[platform, q]];
    }),
  );
}

/** Names of metrics of which the stable version sends what their windows are made of. */
function measuredOf(sent: readonly Sent[], frozenQ: FleetReading['frozenQ']): string[] {
  const has = {
    predictions: sent.some((row) => row.predictions),
    timed: Object.keys(frozenQ).length > 0,
    labelled: sent.some((row) => row.labelled),
  };
  return METRICS.filter(({ ends, always }) => {
    if (always) return true;
    // Who reports at all would tell of a crash, and is heard.
    return ends.by === 'samples' ? has[ends.of] : sent.length > 0;
  }).map((row) => row.name);
}

/**
 * @param on      as `edgeml_app`
 * @param counted devices of an organisation that are counted one by one
 */
export function createFleetReader(on: Queryable, counted = COUNTED): Pick<EvidenceReader, 'readFleet'> {
  const owners = createModelOwners(on);
  return {
    async readFleet({ modelId, stable, cohort, exclude }) {
      const orgId = await owners.ownerOf(modelId);
      const { rows: groups } = await on.query<Group>(LEAVES, [orgId ?? null, counted]);
      const isIn = (device: Group) =>
        isInCohort({ cohort, exclude }, { ...device, osVersion: device.os_version, appVersion: device.app_version });
      const leaves = leavesOf(groups.filter(isIn));
      if (stable === null) return { leaves, measured: METRICS.map((row) => row.name), frozenQ: {} };
      const { rows: sent } = await on.query<Sent>(SENT, [modelId, stable, SAMPLE]);
      const frozenQ = quantiles(sent);
      return { leaves, measured: measuredOf(sent, frozenQ), frozenQ };
    },
  };
}
