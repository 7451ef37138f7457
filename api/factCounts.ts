/** Counters over the facts that entered the log since this server began, whoever appended them: the worker's are among them. */
import { Counter, type Registry } from 'prom-client';
import { RollbackTrigger, Verdict } from '../domain/events/rollout.ts';
import type { Queryable } from '../store/queryable.ts';
import { countFactsBetween, type FactCount } from '../store/log/progress.ts';
import { within } from '../store/within.ts';
import { PROBE_MS } from './http/shared.ts';

/** Of one statement, as store/log/progress.ts says. */
const MOST = 2_000;
const STREAMS = ['model', 'version', 'training', 'rollout'];
const VERDICTS = Verdict.anyOf.map((one) => one.const);
const TRIGGERS = RollbackTrigger.anyOf.map((one) => one.const);

export interface FactsSeen {
  head(): Promise<number>;
  readonly on: Queryable;
}

/**
 * Registers the counters. They follow the log when somebody reads the metrics, so a scrape after a long pause counts what has
 * come meanwhile; while Postgres is away they stand. Every server counts every fact: take the greatest of several, not the sum.
 */
export function countFacts(registry: Registry, { head, on }: FactsSeen): void {
  const registers = [registry];
  let cursor: number | undefined;
  let reading: Promise<void> | undefined;
  const read = async () => {
    const end = await head();
    cursor ??= end;
    while (cursor < end) {
      const upTo: number = Math.min(end, cursor + MOST);
      (await countFactsBetween(on, cursor, upTo)).forEach(count);
      cursor = upTo;
    }
  };
  // One pass for all counters of a scrape, and of scrapes that overlap.
  const catchUp = () =>
    (reading ??= read()
      .catch(() => undefined)
      .finally(() => (reading = undefined)));

  const collect = () => within(PROBE_MS, 'the log', catchUp()).catch(() => undefined);
  const appended = new Counter({
    name: 'edgeml_events_appended_total',
    help: 'Facts that entered the log, by kind of stream',
    labelNames: ['stream'],
    registers,
    collect,
  });
  const verdicts = new Counter({
    name: 'edgeml_verdicts_total',
    help: 'Changes of judgement on rollouts, by verdict',
    labelNames: ['verdict'],
    registers,
    collect,
  });
  const rollbacks = new Counter({
    name: 'edgeml_rollbacks_total',
    help: 'Rollouts rolled back, by what caused it',
    labelNames: ['trigger'],
    registers,
    collect,
  });
  // A rate needs the zero before the first one.
  for (const stream of STREAMS) appended.inc({ stream }, 0);
  for (const trigger of TRIGGERS) rollbacks.inc({ trigger }, 0);

  function count({ stream, type, facts, word }: FactCount): void {
    appended.inc({ stream: known(STREAMS, stream) }, facts);
    if (type === 'HealthJudged') verdicts.inc({ verdict: known(VERDICTS, word) }, facts);
    if (type === 'RolloutRolledBack') rollbacks.inc({ trigger: known(TRIGGERS, word) }, facts);
  }
  void catchUp();
}

/** A row that somebody damaged makes no label of its own. */
const known = (words: readonly string[], word: string | null) => words.find((one) => one === word) ?? 'unknown';
