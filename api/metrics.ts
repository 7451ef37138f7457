/** `/metrics` in Prometheus text: what the process and this API count. No device, event or request id is a label. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { LifecycleError } from '../domain/errors.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import type { App } from './app.ts';
import { within } from '../store/within.ts';
import { PROBE_MS } from './http/shared.ts';
import { countFacts, type FactsSeen } from './factCounts.ts';

export interface Metrics {
  readonly registry: Registry;
  readonly requests: Histogram<'route' | 'status'>;
  readonly refusals: Counter<'guard'>;
  /** Values that only Postgres refused: the schemas should have. */
  readonly databaseRefusals: Counter;
  readonly updates: Counter<'outcome'>;
  readonly appends: Histogram;
  /** Snapshots of streams that were ignored. */
  readonly damagedSnapshots: Counter;
}

/** Asked when somebody reads the metrics; an answer that fails leaves the last one. */
export interface Probes {
  /** Age of the oldest fact without a place in the log; 0 if there is none. */
  sequencerLagSeconds(): Promise<number>;
  /** Of each read model: facts that are not yet in it, and subjects that miss one. */
  projections(): Promise<ReadonlyMap<string, { readonly lag: number; readonly setAside: number }>>;
  /** Facts that each relay has not handed on. */
  relayLags(): Promise<ReadonlyMap<string, number>>;
  readonly facts: FactsSeen;
}

const inTime = <T>(answer: Promise<T>) => within(PROBE_MS, 'a probe', answer);

/** A registry of its own, so that several servers in one process (tests) do not meet. */
export function createMetrics(version: string, probes: Probes): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'edgeml_' });
  new Gauge({ name: 'edgeml_build_info', help: 'Which build runs', labelNames: ['version'], registers }).set(
    { version },
    1,
  );
  new Gauge({
    name: 'edgeml_sequencer_lag_seconds',
    help: 'Age of the oldest fact that has no place in the log',
    registers,
    async collect() {
      await inTime(probes.sequencerLagSeconds()).then(
        (seconds) => this.set(seconds),
        () => undefined,
      );
    },
  });
  new Gauge({
    name: 'edgeml_projection_lag_events',
    help: 'Facts that are not yet in a read model',
    labelNames: ['projection'],
    registers,
    async collect() {
      const all = await inTime(probes.projections()).catch(() => new Map<string, { lag: number; setAside: number }>());
      for (const [projection, { lag }] of all) this.set({ projection }, lag);
    },
  });
  new Gauge({
    name: 'edgeml_projection_set_aside',
    help: 'Rows or models that miss a fact, which the read model could not apply',
    labelNames: ['projection'],
    registers,
    async collect() {
      const all = await inTime(probes.projections()).catch(() => new Map<string, { lag: number; setAside: number }>());
      for (const [projection, { setAside }] of all) this.set({ projection }, setAside);
    },
  });
  new Gauge({
    name: 'edgeml_relay_lag_events',
    help: 'Facts that a relay has not handed on',
    labelNames: ['relay'],
    registers,
    async collect() {
      const lags = await inTime(probes.relayLags()).catch(() => new Map<string, number>());
      for (const [relay, lag] of lags) this.set({ relay }, lag);
    },
  });
  countFacts(registry, probes.facts);
  return {
    registry,
    requests: new Histogram({
      name: 'edgeml_http_request_duration_seconds',
      help: 'Time to answer, by route pattern',
      labelNames: ['route', 'status'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
      registers,
    }),
    refusals: new Counter({
      name: 'edgeml_guard_refusals_total',
      help: 'Commands refused, by unmet guard',
      labelNames: ['guard'],
      registers,
    }),
    databaseRefusals: new Counter({
      name: 'edgeml_database_refusals_total',
      help: 'Requests with a value that Postgres was the first to refuse: each is a fault of ours',
      registers,
    }),
    updates: new Counter({
      name: 'edgeml_training_updates_total',
      help: 'Uploads of devices, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    appends: new Histogram({
      name: 'edgeml_append_duration_seconds',
      help: 'Time of an append of this server, from the wait for a connection to the commit; conflicts and faults too',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    }),
    damagedSnapshots: new Counter({
      name: 'edgeml_snapshots_damaged_total',
      help: 'Snapshots of streams that did not fit the log or their machine: ignored, removed, and folded from the first fact',
      registers,
    }),
  };
}

/** The same log, with each append timed, and damaged snapshots counted. */
export function observeLog<Log extends EventStore>(
  log: Log,
  { appends, damagedSnapshots }: Pick<Metrics, 'appends' | 'damagedSnapshots'>,
): Log {
  const timed = async <T>(append: () => Promise<T>): Promise<T> => {
    const end = appends.startTimer();
    try {
      return await append();
    } finally {
      end();
    }
  };
  return {
    ...log,
    append: (...args) => timed(() => log.append(...args)),
    transaction: (lane, body) => timed(() => log.transaction(lane, body)),
    tendSnapshots(upkeep) {
      damagedSnapshots.inc(upkeep.damaged.length);
      log.tendSnapshots(upkeep);
    },
  };
}

/** Times each answer. A path that is no route of ours counts as one. */
export function observeRequests(app: App, { requests }: Pick<Metrics, 'requests'>): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown';
    requests.observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / 1_000);
    done();
  });
}

/** Each guard that stood in the way. */
export function countRefusal({ refusals }: Metrics, { evidence }: LifecycleError): void {
  for (const { name, met } of evidence.guards ?? []) if (!met) refusals.inc({ guard: name });
}
