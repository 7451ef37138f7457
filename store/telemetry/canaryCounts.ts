/**
 * How many devices of canary the last look counted, in memory: control opens in step with them. At most a second old; who asks later waits for one
 * read, together with all that ask meanwhile.
 */
import type { CanaryCount, EvidenceStage } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';

/** Zeros before the first look of the evidence stage, and while Postgres is away: then nothing opens. Never rejects. */
export type CanaryCounts = (of: EvidenceStage) => Promise<CanaryCount>;

const FRESH_MS = 1_000;
/** Live rollouts are far fewer; those that ended leave. */
const MOST = 1_000;
const NONE: CanaryCount = { told: 0, active: 0 };

interface Row extends CanaryCount, Record<string, unknown> {
  readonly stage: number;
  readonly evidence_stage: number;
}

/** @param on as `edgeml_app` */
export function createCanaryCounts(on: Queryable, now: () => number = () => performance.now()): CanaryCounts {
  const known = new Map<number, { readonly at: number; readonly row: Promise<Row | undefined> }>();

  async function read(rolloutId: number): Promise<Row | undefined> {
    const { rows } = await on.query<Row>(
      'SELECT stage, evidence_stage, told, active FROM ops.evidence_look WHERE rollout_id = $1',
      [rolloutId],
    );
    return rows[0];
  }

  return async ({ rolloutId, stage, evidenceStage }) => {
    let one = known.get(rolloutId);
    if (!one || now() - one.at > FRESH_MS) {
      one = { at: now(), row: read(rolloutId).catch(() => undefined) };
      if (known.size >= MOST) known.clear();
      known.set(rolloutId, one);
    }
    const row = await one.row;
    return row?.stage === stage && row.evidence_stage === evidenceStage ? row : NONE;
  };
}
