/** Devices of a cohort by leaf, before a rollout starts. Reads only; concurrent. It counts the devices of the organisation that were seen of late. */
import { leafOsMajor, leafPlatform } from '../../domain/rollout/counters.ts';
import { isInCohort, numbersOf } from '../../domain/rollout/cohort.ts';
import type { EvidenceReader, FleetReading } from '../../domain/rollout/verdict/index.ts';
import { createModelOwners } from '../orgs/modelOwners.ts';
import type { Queryable } from '../queryable.ts';

interface Group extends Record<string, unknown> {
  platform: string | null;
  os_version: string | null;
  app_version: string | null;
  region: string | null;
  devices: number;
}
interface Sent extends Record<string, unknown> {
  predictions: boolean;
  labelled: boolean;
}

const GROUPS = `SELECT platform, os_version, app_version, attributes ->> 'region' AS region, count(*)::int AS devices FROM ops.devices
  WHERE org_id = $1 AND last_seen_at > clock_timestamp() - interval '7 days' GROUP BY 1, 2, 3, 4`;
const SENT = `SELECT
  EXISTS (SELECT FROM ops.report_total WHERE model_id = $1 AND version = $2 AND predictions_ok + predictions_failed > 0) AS predictions,
  EXISTS (SELECT FROM ops.report_total WHERE model_id = $1 AND version = $2 AND labelled_total > 0) AS labelled`;

/** `3.2` of app version 3.2.1. */
const leafApp = (version: string | null): string | null => {
  const [major, minor = 0] = (version && numbersOf(version)) || [];
  return major === undefined ? null : `${major}.${minor}`;
};
const known = (name: string): string | null => (name === 'unknown' || name === 'other' ? null : name);

/** @param on as `edgeml_app` */
export function createFleetReader(on: Queryable): Pick<EvidenceReader, 'readFleet'> {
  const owners = createModelOwners(on);
  return {
    async readFleet({ modelId, stable, cohort, exclude }) {
      const orgId = await owners.ownerOf(modelId);
      const groups = orgId === undefined ? [] : (await on.query<Group>(GROUPS, [orgId])).rows;
      const leaves = groups
        .filter((g) => isInCohort({ cohort, exclude }, { ...g, osVersion: g.os_version, appVersion: g.app_version }))
        .map((g): FleetReading['leaves'][number] => ({
          platform: known(leafPlatform(g.platform)),
          osMajor: known(leafOsMajor(g.os_version)),
          app: leafApp(g.app_version),
          region: g.region,
          devices: g.devices,
        }));
      if (stable === null) return { leaves, measured: [], frozenQ: {} };
      const { predictions, labelled } = (await on.query<Sent>(SENT, [modelId, stable])).rows[0]!;
      const measured = [...(predictions ? ['errors', 'crash', 'silence'] : []), ...(labelled ? ['drift'] : [])];
      return { leaves, measured, frozenQ: {} };
    },
  };
}
