/** For tests: a real log with its sequencer and read models, histories to put into it, and what its tables hold. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { quote } from '../../projections/ddl.ts';
import type { Logger } from '../../store/leader.ts';
import { createReadModels, type ReadModels } from '../../projections/readModels.ts';
import { projections as allProjections } from '../../projections/registry.ts';
import { startProjections, type RunningProjections } from '../../projections/runner.ts';
import { schemaOf, tablesOf, type Projection } from '../../projections/table.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { openLog, until, type LogFixture } from '../support/log.ts';
import { appendFacts } from '../support/appendFacts.ts';
import { historyOf } from './history.ts';
import type { HistoryAppend } from './world.ts';

export interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly detail: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface Stage {
  readonly log: LogFixture;
  readonly models: ReadModels;
  readonly lines: Line[];
  readonly logger: Logger;
  /** Appends all, sequences them and answers the head. */
  tell(history: readonly HistoryAppend[]): Promise<number>;
  /** Runs read models until `close`, or until the answer's `stop`. */
  follow(projections?: readonly Projection[]): RunningProjections & { stop(): Promise<void> };
  /** Waits until every read model holds the fact at `index`. */
  caughtUp(index: number): Promise<void>;
  /** Every row of a schema, in a fixed order. */
  dump(projection: Projection, schema?: string): Promise<Record<string, unknown[]>>;
  close(): Promise<void>;
}

/** `size` moves drawn from `seed`: the same history every time. */
export const historyFrom = (seed: number, size: number): HistoryAppend[] =>
  historyOf(fc.sample(fc.array(fc.nat(100_000), { minLength: size, maxLength: size }), { seed, numRuns: 1 })[0]!);

/** Opens it all, the sequencer running; the caller closes it. */
export async function openStage(): Promise<Stage> {
  const log = await openLog();
  const stop = new AbortController();
  const lines: Line[] = [];
  const note = (level: Line['level']) => (detail: object, message: string) => {
    lines.push({ level, detail: { ...detail }, message });
  };
  const logger = { info: note('info'), warn: note('warn'), error: note('error') };
  const running: Promise<unknown>[] = [
    runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: logger }),
  ];
  const models = createReadModels({ connectionString: log.appUrl });

  const stage: Stage = {
    log,
    models,
    lines,
    logger,
    async tell(history) {
      let last: string | undefined;
      for (const { commandId, facts } of history)
        last = await appendFacts(log.store, facts, `${commandId} ${randomUUID()}`);
      if (last !== undefined) await log.store.awaitLogIndex(last, 10_000);
      return log.store.head();
    },
    follow(projections = allProjections) {
      const own = new AbortController();
      const started = startProjections({
        connectionString: log.appUrl,
        log: log.store,
        signal: AbortSignal.any([stop.signal, own.signal]),
        logger,
        projections,
      });
      running.push(started.done);
      return {
        ...started,
        async stop() {
          own.abort();
          await started.done;
        },
      };
    },
    caughtUp: (index) =>
      until(
        `every read model holds ${index}`,
        async () => (await models.status()).every((s) => s.position >= index),
        30_000,
      ),
    async dump(projection, schema = schemaOf(projection)) {
      const tables: Record<string, unknown[]> = {};
      for (const table of tablesOf(projection)) {
        const order = table.kind === 'facts' ? 'log_index' : [...table.key.map(quote), 'valid_from'].join(', ');
        const { rows } = await log.admin.query(`SELECT * FROM ${quote(schema)}.${quote(table.name)} ORDER BY ${order}`);
        tables[table.name] = rows;
      }
      return tables;
    },
    async close() {
      stop.abort();
      await Promise.all(running);
      await models.close();
      await log.close();
    },
  };
  return stage;
}
