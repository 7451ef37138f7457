/**
 * The processes that the log has open. Only the leader of `relay/temporal.ts` writes here, over its own session, and every write
 * is one statement: many may ask at the same time, and take turns. A cache: a fold of the log.
 */
import type { ProcessKind } from '../../domain/events/processes.ts';
import type { Client } from '../connect.ts';
import { queryableOf, type Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';

const MOVE = namedSql('processes_move');
/**
 * A rollback's follow-up ends after 30 days without a fact (docs/design/temporal.md "Reconciler"), so its row stays open and is
 * no longer looked at.
 */
const FOLLOW_UP_DAYS = 30;

/** What one batch of facts changed of one process. `due` and `signalled` are stream versions; 0 where nothing signals. */
export interface ProcessChange {
  readonly id: string;
  readonly kind: ProcessKind;
  readonly stream: string;
  readonly opened: boolean;
  readonly closed: boolean;
  readonly due: number;
  readonly signalled: number;
  readonly startedBy: string;
  readonly correlationId: string | null;
  readonly at: string;
}

export interface ProcessRecord {
  readonly id: string;
  readonly kind: ProcessKind;
  readonly stream: string;
  readonly state: 'open' | 'closed';
  readonly dueVersion: number;
  readonly signalledVersion: number;
  readonly startedBy: string;
  readonly correlationId: string | null;
}

/** Closed, and perhaps still alive in Temporal. */
export interface UnsettledProcess extends ProcessRecord {
  readonly closedAt: Date;
  readonly closedMs: number;
}

const COLUMNS = `id, kind, stream, state, due_version AS "dueVersion", rung_version AS "signalledVersion",
  started_by AS "startedBy", correlation_id AS "correlationId"`;
type Row = Record<string, unknown> & ProcessRecord;

export interface ProcessTable {
  /** Log index up to which facts were handed on; -1 before the first. */
  cursor(): Promise<number>;
  /** @throws Error if another leader moved the cursor: nothing was written, and this one is no leader */
  move(from: number, to: number, changes: readonly ProcessChange[]): Promise<void>;
  find(ids: readonly string[]): Promise<Map<string, ProcessRecord>>;
  /** Open processes with an id above `after`, in order; a rollback only while its follow-up lasts. */
  open(after: string, limit: number): Promise<ProcessRecord[]>;
  /** Those that were closed at least `ms` ago, the earliest first, after `last` of the page before. */
  unsettled(
    ms: number,
    last: Pick<UnsettledProcess, 'closedAt' | 'id'> | undefined,
    limit: number,
  ): Promise<UnsettledProcess[]>;
  settle(id: string): Promise<void>;
  signalled(id: string, version: number): Promise<void>;
}

/** A session takes one statement at a time. */
function inTurn(session: Queryable): Queryable {
  let before: Promise<unknown> = Promise.resolve();
  return {
    query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
      const answer = before.then(() => session.query<R>(sql, values));
      before = answer.catch(() => undefined);
      return answer;
    },
  };
}

/** @param session the leader's */
export function createProcessTable(session: Client): ProcessTable {
  const db = inTurn(queryableOf(session));
  return {
    async cursor() {
      const { rows } = await db.query<{ log_index: number }>(
        `SELECT log_index FROM store.followers WHERE name = 'temporal'`,
      );
      return rows[0]?.log_index ?? -1;
    },
    async move(from, to, changes) {
      const { rows } = await db.query<{ moved: number }>(MOVE, [from, to, JSON.stringify(changes)]);
      if (rows[0]?.moved !== 1) throw new Error(`another leader moved the follower \`temporal\` on from ${from}`);
    },
    async find(ids) {
      const { rows } = await db.query<Row>(`SELECT ${COLUMNS} FROM ops.processes WHERE id = ANY ($1)`, [ids]);
      return new Map(rows.map((row) => [row.id, row]));
    },
    async open(after, limit) {
      const { rows } = await db.query<Row>(
        `SELECT ${COLUMNS} FROM ops.processes WHERE state = 'open' AND id > $1
            AND (kind <> 'rollback' OR opened_at > clock_timestamp() - make_interval(days => ${FOLLOW_UP_DAYS}))
          ORDER BY id LIMIT $2`,
        [after, limit],
      );
      return rows;
    },
    async unsettled(ms, last, limit) {
      const { rows } = await db.query<Record<string, unknown> & UnsettledProcess>(
        `SELECT ${COLUMNS}, closed_at AS "closedAt",
                (extract(epoch FROM clock_timestamp() - closed_at) * 1000)::float8 AS "closedMs"
           FROM ops.processes
          WHERE state = 'closed' AND NOT settled AND closed_at <= clock_timestamp() - make_interval(secs => $1)
            AND (closed_at, id) > ($2::timestamptz, $3::text)
          ORDER BY closed_at, id LIMIT $4`,
        [ms / 1000, last?.closedAt.toISOString() ?? '-infinity', last?.id ?? '', limit],
      );
      return rows;
    },
    async settle(id) {
      await db.query(`UPDATE ops.processes SET settled = true WHERE id = $1 AND state = 'closed'`, [id]);
    },
    async signalled(id, version) {
      await db.query('UPDATE ops.processes SET rung_version = greatest(rung_version, $2) WHERE id = $1', [id, version]);
    },
  };
}
