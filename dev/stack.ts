/**
 * The embedded stack: Postgres, nats-server, Temporal, our server and our worker, started in order, supervised, stopped in order. One
 * launcher a home; what a killed launcher left is ended and started afresh, nothing is adopted, nothing is ended by name.
 */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { lockHome } from './homeLock.ts';
import { refuseInterrupted } from './interruption.ts';
import { removeData, type Cluster } from './postgres.ts';
import type { Identity } from './processes.ts';
import {
  endLeftovers,
  readStack,
  removeStackFile,
  type Ports,
  type ServiceName,
  type StackRecord,
} from './stackFile.ts';
import { findParts, type Parts, type StackOptions } from './stackParts.ts';
import { superviseParts, type Services } from './stackServices.ts';
import { wipeTemporalFile } from './temporal.ts';

export interface Stack {
  readonly home: string;
  readonly url: string;
  readonly ports: Readonly<Ports>;
  /** What the server and the worker were given. */
  readonly env: Readonly<Record<string, string>>;
  readonly keyFile: string;
  readonly cluster: Cluster | undefined;
  /** The record as it stands in `stack.json`. */
  record(): StackRecord;
  /** Resolves when it answers, after a restart too. @throws Error if it was given up or stopped */
  ready(name: ServiceName): Promise<void>;
  /** Sends a signal and resolves when the process has gone; the supervisor restarts it after 0.5 s. */
  kill(name: ServiceName, signal?: NodeJS.Signals): Promise<void>;
  /** Ends it and keeps it down until {@link startService}. */
  stopService(name: ServiceName, signal?: NodeJS.Signals): Promise<void>;
  startService(name: ServiceName): Promise<void>;
  /** Deletes Temporal's database file; Temporal must be stopped. */
  wipeTemporal(): void;
  /** Resolves with the text once a service has been given up. Never rejects. */
  readonly gaveUp: Promise<string>;
  /** Stops everything in order and frees the home. Idempotent. */
  stop(): Promise<void>;
}

/** Another launcher has the home. Its record is there once it has begun to start services. */
export class StackIsRunning extends Error {
  readonly launcher: Identity;
  readonly record: StackRecord | undefined;

  constructor(home: string, launcher: Identity, record: StackRecord | undefined) {
    super(`a stack is already running in ${home}, launched by process ${launcher.pid}`);
    this.launcher = launcher;
    this.record = record;
  }
}

const STATE = ['postgres', 'postgres.json', 'nats', 'temporal', 'blobs', 'logs', 'admin.key', 'secret'] as const;

/** Removes what a stack keeps, and only that: a home may also hold tools and other homes. Nothing may run there. */
function wipeState(home: string): void {
  removeData(home);
  for (const name of STATE) rmSync(join(home, name), { recursive: true, force: true });
}

/** Removes a home that is one stack's alone, with whatever it keeps elsewhere. Nothing may run there. */
export function removeHome(home: string): void {
  removeData(resolve(home));
  rmSync(home, { recursive: true, force: true });
}

/**
 * Starts the stack and resolves when every part of it answers. On failure everything that was started is stopped again.
 *
 * @throws StackIsRunning; Interrupted; Error of a part that cannot start, with the end of its log or every way to get its binary
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const home = resolve(options.home);
  const lock = lockHome(home);
  if ('holder' in lock) throw new StackIsRunning(home, lock.holder, readStack(home));
  try {
    return await startLocked({ ...options, home }, lock.release);
  } catch (error) {
    removeStackFile(home);
    lock.release();
    refuseInterrupted(options.signal); // it says more than what failed because of it
    throw error;
  }
}

/** The home's lock is ours: what an earlier launcher left is ended, then every part is found, started and awaited. */
async function startLocked(options: StackOptions, release: () => void): Promise<Stack> {
  const { home, say = () => undefined, signal } = options;
  const left = await endLeftovers(home);
  if (left.length > 0) say(`Ended what an earlier launcher left: ${left.join(', ')}.`);
  if (options.fresh === true) wipeState(home);

  const found = await findParts(options);
  const services = superviseParts(home, found, say);
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll(home, services).then(release));
  await startAll(services, found.cluster, stop, signal);
  services.markReady();
  return stackOf(home, found, services, stop);
}

/** Who keeps state at once, then our own two on top of it. Where one cannot start, or `signal` aborts, all are stopped again. */
async function startAll(
  services: Services,
  cluster: Cluster | undefined,
  stop: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const begin = async (name: ServiceName): Promise<void> => {
    refuseInterrupted(signal);
    await services.get(name)?.start();
  };
  const stopNow = (): void => void stop().catch(() => undefined); // whoever awaits it below is told
  signal?.addEventListener('abort', stopNow, { once: true });
  try {
    refuseInterrupted(signal);
    const began = await Promise.allSettled((['postgres', 'nats', 'temporal'] as const).map(begin));
    for (const one of began) if (one.status === 'rejected') throw one.reason;
    await cluster?.ensureDatabase();
    await begin('server');
    await begin('worker');
    refuseInterrupted(signal);
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stopNow);
  }
}

/** The server first, so that nobody is answered by half a stack; what keeps state last. */
async function stopAll(home: string, services: Services): Promise<void> {
  for (const name of ['server', 'worker', 'temporal', 'nats', 'postgres'] as const) await services.get(name)?.stop();
  removeStackFile(home);
}

function stackOf(
  home: string,
  { ports, cluster, keyFile, env }: Parts,
  services: Services,
  stop: () => Promise<void>,
): Stack {
  const { record, need, gaveUp } = services;
  return {
    home,
    get url() {
      return record().url;
    },
    ports,
    get env() {
      return env();
    },
    keyFile,
    cluster,
    record,
    ready: (name) => need(name).whenReady(),
    kill: (name, signal = 'SIGKILL') => need(name).kill(signal),
    stopService: (name, signal) => need(name).stop(signal),
    startService: (name) => need(name).start(),
    wipeTemporal() {
      if (need('temporal').identity !== undefined)
        throw new Error('Temporal is running: stop it before its file is deleted');
      wipeTemporalFile(home);
    },
    gaveUp,
    stop,
  };
}
