/** Hosts that vanish under those who work beside the log: nothing is closed, nothing answers, and later all is as before. */
import { expect, inject, it } from 'vitest';
import { connectWorker } from '../activities/temporalRuntime.ts';
import { keepAsking, openSession } from '../store/connect.ts';
import { openLog, request, until, type LogFixture } from '../test/support/log.ts';
import { openRelay, type Relay } from '../test/support/relay.ts';
import { startNats } from '../test/support/services.ts';
import { runNatsRelay, subscribeGrowth } from './nats.ts';
import { runSequencer } from './sequencer.ts';
import { createTemporalCalls } from './temporalCalls.ts';

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const PATIENCE_MS = 50_000;

const append = ({ store }: LogFixture) => store.append(request({ 'rollout-1': 'any' }));

/** The tests run side by side, since each waits for somebody's patience to end: each has its own log and its own way to it. */
async function withLog(work: (log: LogFixture, toPostgres: Relay) => Promise<void>): Promise<void> {
  const log = await openLog();
  const toPostgres = await openRelay(log.appUrl);
  try {
    await work(log, toPostgres);
  } finally {
    toPostgres.resume();
    await toPostgres.close();
    await log.close();
  }
}

it.concurrent('the NATS relay and who waits for it connect anew', () =>
  withLog(async (log) => {
    const nats = await startNats();
    const relays = await Promise.all([openRelay(nats.url), openRelay(nats.url)]);
    const [forRelay, forBell] = relays;
    const stop = new AbortController();
    const { signal } = stop;
    let told = -1;
    let heard = 0;
    const [natsUrl, growthUrl] = relays.map((one) => one.url(nats.url).replace(/\/$/, '')) as [string, string];
    const connectionString = log.appUrl;
    const running = [
      runSequencer({ connectionString, signal, log: logger }),
      runNatsRelay({ log: log.store, connectionString, natsUrl, signal, logger, onPublish: (index) => (told = index) }),
      subscribeGrowth({ natsUrl: growthUrl, signal, onGrowth: () => (heard += 1) }),
    ];
    try {
      await append(log);
      await until('the first fact is told', () => told === 0 && heard > 1);
      const made = [forRelay.made, forBell.made] as const;
      relays.forEach((one) => one.swallow());
      await append(log);
      await until(
        'both have given up their connections',
        () => forRelay.made > made[0] && forBell.made > made[1],
        PATIENCE_MS,
      );
      const before = heard;
      relays.forEach((one) => one.resume());
      await until('the second fact is told', () => told === 1, PATIENCE_MS);
      await until('it is notified again', () => heard > before, PATIENCE_MS);
    } finally {
      relays.forEach((one) => one.resume());
      stop.abort();
      await Promise.all(running);
      await Promise.all(relays.map((one) => one.close()));
      await nats.stop();
    }
  }),
);

it.concurrent('calls to Temporal say away and workers fail to connect, and both work after its return', async () => {
  const toTemporal = await openRelay(`tcp://${inject('temporal').address}`);
  const target = new URL(toTemporal.url('tcp://temporal:1'));
  const temporal = { address: target.host, namespace: inject('temporal').namespace };
  const calls = createTemporalCalls(temporal, 'vanished');
  try {
    expect(await calls.life('nobody')).toBe('missing');
    toTemporal.swallow();
    expect(await calls.life('nobody')).toBe('away');
    expect(await calls.namespaceId()).toBeUndefined();
    await expect(connectWorker({ address: temporal.address, tls: false })).rejects.toThrow();
    expect(toTemporal.isSwallowing).toBe(true);
    toTemporal.resume();
    await until('calls are answered', async () => (await calls.life('nobody')) === 'missing', PATIENCE_MS);
    await (await connectWorker({ address: temporal.address, tls: false })).close();
  } finally {
    toTemporal.resume();
    await calls.close();
    await toTemporal.close();
  }
});

it.concurrent('a session of Postgres that only listens notices it', () =>
  withLog(async (log, toPostgres) => {
    const session = await openSession(toPostgres.url(log.appUrl), 'test');
    keepAsking(session);
    toPostgres.swallow();
    await until('the session is gone', () => session.gone.aborted, PATIENCE_MS);
    expect(toPostgres.isSwallowing).toBe(true);
    toPostgres.resume();
    await session.end();
  }),
);

it.concurrent('the sequencer goes on after the return of Postgres', () =>
  withLog(async (log, toPostgres) => {
    const stop = new AbortController();
    const warned: string[] = [];
    const noting = { ...logger, error: (_: object, text: string) => void warned.push(text) };
    const connectionString = toPostgres.url(log.appUrl);
    const running = runSequencer({ connectionString, signal: stop.signal, log: noting });
    const head = await log.store.head();
    await append(log);
    await until('a fact gets its place', async () => (await log.store.head()) === head + 1, PATIENCE_MS);
    toPostgres.swallow();
    await append(log);
    await until('it gives its session up', () => warned.length > 0, PATIENCE_MS);
    toPostgres.resume();
    await until('the next gets its place', async () => (await log.store.head()) === head + 2, PATIENCE_MS);
    stop.abort();
    await running;
  }),
);
