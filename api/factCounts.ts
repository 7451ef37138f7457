/** Counters over the facts that entered the log since this server began, whoever appended them: the worker's are among them. */
import { Counter, type Registry } from 'prom-client';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { within } from '../store/within.ts';
import { PROBE_MS } from './http/shared.ts';
import { parseStream } from '../domain/events/streams.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import { readPast } from '../store/log/readPast.ts';

const PAGE = 500;
const KNOWN = {
  stream: ['model', 'version', 'training', 'rollout'],
  trigger: ['verdict', 'manual'],
};

/**
 * Registers the counters. They follow the log when somebody reads the metrics, so a scrape after a long pause reads what has
 * come meanwhile; while Postgres is away they stand. Every server counts every fact: take the greatest of several, not the sum.
 */
export function countFacts(registry: Registry, log: Pick<EventStore, 'head' | 'readLog'>): void {
  const registers = [registry];
  let cursor: number | undefined;
  let reading: Promise<void> | undefined;
  const read = async () => {
    cursor ??= await log.head();
    for (;;) {
      const { events, upTo, unread, isEnd } = await readPast(log, cursor, PAGE);
      events.forEach(count);
      if (unread) appended.inc({ stream: parseStream(unread.stream)?.kind ?? 'unknown' });
      cursor = upTo;
      if (isEnd) return;
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
  for (const stream of KNOWN.stream) appended.inc({ stream }, 0);
  for (const trigger of KNOWN.trigger) rollbacks.inc({ trigger }, 0);

  function count({ stream, fact }: SequencedEvent): void {
    appended.inc({ stream: parseStream(stream)?.kind ?? 'unknown' });
    if (fact.type === 'HealthJudged') verdicts.inc({ verdict: fact.data.verdict });
    if (fact.type === 'RolloutRolledBack') rollbacks.inc({ trigger: fact.data.trigger });
  }
  void catchUp();
}
