/** The rounds in Postgres: the port of `roundStore.ts`, over schema `ops`. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';
import { roundOf, type RawRound, type RoundRow } from './roundRow.ts';
import type { MetricSums } from '../../domain/learning/metrics.ts';
import type { AcceptedRow, RoundStore, Task } from './roundStore.ts';

const TASK = namedSql('round_task');
const ACCEPT = namedSql('round_accept');
const LEASE = namedSql('round_lease');

interface TaskRow extends Record<string, unknown> {
  task_id: string;
  device_id: string;
  lease: string;
  expires_at: Date;
  task_state: Task['state'];
  detail: string | null;
  run_key: Buffer | null;
  round: RawRound;
  own_update: boolean | null;
  update_sha: string;
  weight: number;
  samples: number;
  accepted_at: Date;
  now: Date;
}

interface UpdateRow extends Record<string, unknown> {
  task_id: string;
  update_sha: string;
  pseudonym: Buffer;
  weight: number;
  samples: number;
  norm: number;
  max_abs: number;
  bytes: number;
  metrics: MetricSums | null;
}

/** How manifests name a device (docs/design/learning.md "Pseudonyms"): 16 bytes that only the run's key links to it. */
export const pseudonymOf = (runKey: Uint8Array, deviceId: string): string =>
  createHmac('sha256', runKey).update(deviceId).digest('hex').slice(0, 32);

function taskOf(row: TaskRow): Task {
  const round = roundOf(row.round);
  return {
    taskId: row.task_id,
    deviceId: row.device_id,
    lease: row.lease,
    expiresAt: row.expires_at.toISOString(),
    state: row.task_state,
    detail: row.detail,
    round,
    pseudonymHex: row.run_key === null ? null : pseudonymOf(row.run_key, row.device_id),
    receipt: row.own_update
      ? {
          updateSha: row.update_sha,
          roundId: round.roundId,
          weight: row.weight,
          samples: row.samples,
          acceptedAt: row.accepted_at.toISOString(),
        }
      : null,
    hasContributed: row.own_update === false,
    now: row.now,
  };
}

const updateOf = (row: UpdateRow): AcceptedRow => ({
  taskId: row.task_id,
  updateSha: row.update_sha,
  pseudonymHex: row.pseudonym.toString('hex'),
  weight: row.weight,
  samples: row.samples,
  norm: row.norm,
  maxAbs: row.max_abs,
  bytes: row.bytes,
  metrics: row.metrics,
});

const rounds = (rows: readonly { round: RawRound }[]): RoundRow[] => rows.map((r) => roundOf(r.round));

/** @param pool as `edgeml_app`; where calls outside a transaction go */
export function createRoundStore(pool: Queryable): RoundStore {
  return {
    async lockRun(tx, runId) {
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('edgeml run'), hashtext($1))`, [runId]);
    },

    async open(tx, r) {
      await tx.query(`INSERT INTO ops.training_run_key (run_id, key) VALUES ($1, $2) ON CONFLICT (run_id) DO NOTHING`, [
        r.runId,
        randomBytes(32),
      ]);
      await tx.query(
        `INSERT INTO ops.training_round (round_id, run_id, org_id, model_id, round, attempt, base_sha, base_label, goal,
           min_updates, room, max_norm, grid_limit, plan, opened_at, deadline, hard_deadline)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (round_id) DO NOTHING`,
        [
          ...[r.roundId, r.runId, r.orgId, r.modelId, r.round, r.attempt, r.baseSha, r.baseLabel, r.goal, r.minUpdates],
          ...[r.room, r.maxNorm, r.gridLimit, JSON.stringify(r.plan), r.openedAt, r.deadline, r.hardDeadline],
        ],
      );
    },

    async round(roundId, on = pool) {
      const { rows } = await on.query<{ round: RawRound }>(
        'SELECT to_jsonb(r) AS round FROM ops.training_round r WHERE round_id = $1',
        [roundId],
      );
      return rounds(rows)[0];
    },

    async openRounds({ orgId, runId = null, modelId = null }) {
      const { rows } = await pool.query<{ round: RawRound }>(
        `SELECT to_jsonb(r) AS round FROM ops.training_round r
          WHERE state = 'open' AND hard_deadline > clock_timestamp()
            AND org_id = $1 AND ($2::text IS NULL OR run_id = $2) AND ($3::text IS NULL OR model_id = $3)
          ORDER BY opened_at, round_id`,
        [orgId, runId, modelId],
      );
      return rounds(rows);
    },

    async accepted(roundId, on = pool) {
      const { rows } = await on.query<UpdateRow>(
        `SELECT task_id, update_sha, pseudonym, weight, samples, norm, max_abs, bytes, metrics
           FROM ops.training_update WHERE round_id = $1 ORDER BY task_id`,
        [roundId],
      );
      return rows.map(updateOf);
    },

    async refused(roundId, on = pool) {
      const { rows } = await on.query<{ code: string; n: number }>(
        'SELECT code, n FROM ops.training_refusal WHERE round_id = $1 ORDER BY code',
        [roundId],
      );
      return Object.fromEntries(rows.map((r) => [r.code, r.n]));
    },

    async participants(roundIds, on = pool) {
      const { rows } = await on.query<{ n: number }>(
        'SELECT count(DISTINCT device_id) AS n FROM ops.training_update WHERE round_id = ANY ($1::text[])',
        [roundIds],
      );
      return rows[0]!.n;
    },

    async end(tx, roundId, state, cause) {
      await tx.query(
        `UPDATE ops.training_round SET state = $2, cause = $3 WHERE round_id = $1 AND state <> 'abandoned'`,
        [roundId, state, cause],
      );
    },

    async lease(roundId, deviceId, fresh) {
      const { rows } = await pool.query<{ task_id: string; lease: string; expires_at: Date }>(LEASE, [
        roundId,
        deviceId,
        fresh.taskId,
        fresh.lease,
      ]);
      const row = rows[0];
      return row && { taskId: row.task_id, lease: row.lease, expiresAt: row.expires_at.toISOString() };
    },

    async hasContributed(roundId, deviceId) {
      const { rows } = await pool.query('SELECT 1 FROM ops.training_update WHERE round_id = $1 AND device_id = $2', [
        roundId,
        deviceId,
      ]);
      return rows.length > 0;
    },

    async task(taskId, on = pool) {
      const { rows } = await on.query<TaskRow>(TASK, [taskId]);
      return rows[0] && taskOf(rows[0]);
    },

    async accept(tx, task, update, { counted, closes }) {
      const { roundId } = task.round;
      const { rows } = await tx.query<{ accepted_at: Date }>(ACCEPT, [
        ...[
          roundId,
          task.taskId,
          task.deviceId,
          update.updateSha,
          Buffer.from(update.pseudonymHex, 'hex'),
          update.weight,
        ],
        ...[update.samples, update.norm, update.maxAbs, update.bytes, JSON.stringify(update.metrics), counted, closes],
      ]);
      // The lock was held since the task was read as leased: no row is a bug, and must not commit a close.
      if (!rows[0]) throw new Error(`task ${task.taskId} left its state under the lock of its run`);
      const { updateSha, weight, samples } = update;
      return { updateSha, roundId, weight, samples, acceptedAt: rows[0].accepted_at.toISOString() };
    },

    async refuse(task, code, ends) {
      await pool.query(
        `WITH ended AS (
           UPDATE ops.training_task SET state = 'refused', detail = $3
            WHERE task_id = $2 AND state = 'leased' AND $4::boolean)
         INSERT INTO ops.training_refusal AS f (round_id, code) VALUES ($1, $3)
         ON CONFLICT (round_id, code) DO UPDATE SET n = f.n + 1`,
        [task.round.roundId, task.taskId, code, ends],
      );
    },

    async abort(taskId, reason) {
      const { rows } = await pool.query<{ state: string }>(
        `WITH ended AS (
           UPDATE ops.training_task SET state = 'aborted', detail = $2
            WHERE task_id = $1 AND state = 'leased' RETURNING round_id
         ), counted AS (
           UPDATE ops.training_round SET aborted = aborted + 1 WHERE round_id IN (SELECT round_id FROM ended)
         )
         SELECT CASE WHEN EXISTS (SELECT 1 FROM ended) THEN 'aborted' ELSE state END AS state
           FROM ops.training_task WHERE task_id = $1`,
        [taskId, reason],
      );
      return rows[0]?.state === 'aborted';
    },
  };
}
