/** The only function that opens an append's transaction, so that nothing writes before the append. */
import type { Pool, PoolClient } from '../connect.ts';
import { isConnectionLost } from '../connect.ts';
import { namedSql } from '../sql/namedSql.ts';
import { appendedOne, appendOneValues, appendResult, appendValues, type AppendAnswer } from './appendCall.ts';
import type { AppendRequest, AppendResult, AppendTransaction } from './eventStore.ts';
import { queryableOf } from '../queryable.ts';
import { persistently } from './persistently.ts';

const APPEND = namedSql('append');
const APPEND_ONE = namedSql('append_one');

/** One event takes the short way; where that does not append, the long one says why. */
async function callAppend(client: PoolClient, request: AppendRequest): Promise<AppendResult> {
  const one = appendOneValues(request);
  if (one) {
    const short = { name: 'append_one', text: APPEND_ONE, values: one };
    const version = (await client.query<{ version: number | null }>(short)).rows[0]!.version;
    if (version !== null) return appendedOne(request, version);
  }
  const values = appendValues(request);
  const { rows } = await client.query<{ result: AppendAnswer }>({ name: 'append', text: APPEND, values });
  return appendResult(request, rows[0]!.result);
}

/** One append alone: autocommit, one round trip. `notify` is called after it was stored. */
export function appendAlone(pool: Pool, request: AppendRequest, notify: () => void): Promise<AppendResult> {
  return persistently(`append ${request.commandId}`, async (sent) => {
    const client = await pool.connect();
    let broken = false;
    try {
      sent();
      const result = await callAppend(client, request);
      if (result.outcome === 'appended') notify();
      return result;
    } catch (error) {
      broken = isConnectionLost(error);
      throw error;
    } finally {
      client.release(broken);
    }
  });
}

/**
 * BEGIN, `body`, COMMIT; ROLLBACK if `body` throws. `body` may run more than once, since lost connections and deadlocks are
 * tried again: everything it writes must follow from what it read or carry the same command id. A conflict keeps the locks of
 * its streams until `body` ends, so end it at once. `notify` is called after a commit with an append in it.
 *
 * A crash before COMMIT leaves nothing; after it, the answer is lost and the same command id reads `duplicate`.
 */
export function inTransaction<T>(
  pool: Pool,
  body: (tx: AppendTransaction) => Promise<T>,
  notify: () => void,
): Promise<T> {
  return persistently('transaction', async (sent) => {
    const client = await pool.connect();
    let broken = false;
    let hasAppended = false;
    try {
      sent();
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      const result = await body({
        ...queryableOf(client),
        append: async (request) => {
          const answer = await callAppend(client, request);
          hasAppended ||= answer.outcome === 'appended';
          return answer;
        },
      });
      const end = await client.query('COMMIT');
      // Postgres answers COMMIT of a failed transaction with ROLLBACK, not with an error.
      if (end.command !== 'COMMIT')
        throw new Error('a statement of the transaction failed and its error was swallowed');
      if (hasAppended) notify();
      return result;
    } catch (error) {
      broken =
        isConnectionLost(error) ||
        !(await client.query('ROLLBACK').then(
          () => true,
          () => false,
        ));
      throw error;
    } finally {
      client.release(broken);
    }
  });
}
