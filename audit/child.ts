/**
 * The child process of an audit. It gets one order, sends progress at least each few seconds, then the report, and ends. It ends with
 * its parent, too.
 */
import { createNamedFiles } from '../store/artifacts/namedStore.ts';
import { codeOf } from '../store/connect.ts';
import { createPublished } from '../store/ledger/published.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import type { AuditOrder, FromAudit } from './protocol.ts';
import { verify, type AuditProgress } from './verify.ts';

/** Well below the silence that clients allow. A long statement of Postgres is no silence; a loop that does not turn is. */
const BEAT_MS = 3_000;

const say = (message: FromAudit, then = () => {}) => process.send!(message, undefined, {}, then);

async function run({ connectionString, blobDir, fast, checkpoints }: AuditOrder): Promise<FromAudit> {
  const log = createEventStore({ connectionString, waits: 'work' });
  let progress: AuditProgress = { phase: 'log', done: 0, total: 0 };
  const beatNow = () => say({ kind: 'progress', progress });
  const beat = setInterval(beatNow, BEAT_MS);
  beatNow();
  try {
    const published = blobDir === undefined ? undefined : createPublished(createNamedFiles(blobDir));
    const onProgress = (now: AuditProgress) => {
      progress = now;
      beatNow();
    };
    return {
      kind: 'report',
      report: await verify({ connectionString, log, published }, { fast, checkpoints, onProgress }),
    };
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error), code: codeOf(error) };
  } finally {
    clearInterval(beat);
    await log.close();
  }
}

process.once('disconnect', () => process.exit(0));
process.once('message', (order: AuditOrder) => {
  void run(order).then((end) => say(end, () => process.disconnect()));
});
