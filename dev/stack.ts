/**
 * The embedded stack: Postgres, nats-server, Temporal, our server and our worker, started in order, supervised, stopped in order. One
 * launcher a home; what a killed launcher left is ended and started afresh, nothing is adopted, nothing is ended by name.
 * Long: what starts in order must stop in order, and both stand here.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readDevSettings, type DevSettings } from '../config.ts';
import { findBinary } from './binaries.ts';
import { ensureCredentials } from './credentials.ts';
import { lockHome } from './homeLock.ts';
import { refuseInterrupted } from './interruption.ts';
import { natsSpec } from './nats.ts';
import { choosePort } from './ports.ts';
import { createCluster, removeData, type Cluster } from './postgres.ts';
import { identify, type Identity } from './processes.ts';
import { ourEnvironment, serverSpec, workerSpec, type CommandOverride } from './programs.ts';
import {
  endLeftovers,
  PORT_NAMES,
  PREFERRED_PORTS,
  readStack,
  removeStackFile,
  SERVICES,
  writeStack,
  type Ports,
  type ServiceName,
  type ServiceRecord,
  type StackRecord,
} from './stackFile.ts';
import { Supervised, type ServiceSpec } from './supervise.ts';
import { temporalSpec, wipeTemporalFile } from './temporal.ts';

export interface StackOptions {
  readonly home: string;
  /** Remove what the home held before. */
  readonly fresh?: boolean;
  /** Default: all. One whose part runs elsewhere (`external`) is left out in any case. */
  readonly services?: readonly ServiceName[];
  /** `preferred`: 7400 and so on where free, with a line for each that is not; `free` (default): any. */
  readonly ports?: 'preferred' | 'free';
  /** DATABASE_URL, NATS_URL, TEMPORAL_ADDRESS and what belongs to them; default: as our own environment says. */
  readonly external?: Readonly<Record<string, string>>;
  /** More variables for the server and the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** False: no fsync. For tests only. */
  readonly durable?: boolean;
  /** Temporal's own web page; default no. */
  readonly ui?: boolean;
  /** More dynamic configuration of Temporal. For tests only. */
  readonly temporalConfig?: Readonly<Record<string, string>>;
  readonly settings?: DevSettings;
  /** Told what a person wants to know, a line at a time. */
  readonly say?: (line: string) => void;
  /** Ends the start at any moment: what was started is stopped, the home is freed, and the call throws Interrupted. */
  readonly signal?: AbortSignal;
  /** Stand-ins for the programs of ours, for tests of the launcher. */
  readonly commands?: Partial<Record<'server' | 'worker', CommandOverride>>;
}

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

/** The part a variable switches off. */
const SWITCH: Readonly<Partial<Record<ServiceName, string>>> = {
  postgres: 'DATABASE_URL',
  nats: 'NATS_URL',
  temporal: 'TEMPORAL_ADDRESS',
};

const PORTS_OF: Readonly<Record<ServiceName, readonly (keyof Ports)[]>> = {
  postgres: ['postgres'],
  nats: ['nats', 'nats_monitor'],
  temporal: ['temporal', 'temporal_ui', 'temporal_metrics'],
  server: ['api'],
  worker: ['worker_metrics'],
};

async function choosePorts(
  kind: 'preferred' | 'free',
  wanted: readonly ServiceName[],
  say: (line: string) => void,
): Promise<Ports> {
  const ports = { ...PREFERRED_PORTS };
  const needed = new Set(wanted.flatMap((name) => PORTS_OF[name]));
  const taken = new Set<number>(Object.values(PREFERRED_PORTS));
  for (const name of PORT_NAMES.filter((port) => needed.has(port))) {
    const preferred = kind === 'preferred' ? PREFERRED_PORTS[name] : undefined;
    const others = new Set([...taken].filter((port) => port !== preferred));
    ports[name] = await choosePort(preferred, others);
    taken.add(ports[name]);
    if (preferred !== undefined && ports[name] !== preferred)
      say(`Port ${preferred} is taken: ${name} is on ${ports[name]}.`);
  }
  return ports;
}

/** Somebody took the port between our look and the start: another one, before anything else is tried. */
function withOtherPorts(spec: ServiceSpec, name: ServiceName, ports: Ports): ServiceSpec {
  return {
    ...spec,
    mend: async (how, tail) => {
      if (!/address already in use|EADDRINUSE|could not bind/i.test(tail))
        return (await spec.mend?.(how, tail)) ?? false;
      for (const port of PORTS_OF[name]) ports[port] = await choosePort(undefined, new Set(Object.values(ports)));
      return true;
    },
  };
}

function packageVersion(): string {
  // Our own file, with a version in it.
  return (JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string })
    .version;
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

async function startLocked(options: StackOptions, release: () => void): Promise<Stack> {
  const { home, durable = true, say = () => undefined, settings = readDevSettings(), signal } = options;
  const external = options.external ?? settings.external;
  const isOurs = (name: ServiceName): boolean => external[SWITCH[name] ?? ''] === undefined;
  const wanted = SERVICES.filter((name) => (options.services ?? SERVICES).includes(name) && isOurs(name));
  const left = await endLeftovers(home);
  if (left.length > 0) say(`Ended what an earlier launcher left: ${left.join(', ')}.`);
  if (options.fresh === true) wipeState(home);

  const ports = await choosePorts(options.ports ?? 'free', wanted, say);
  const { keyFile, secretFile } = ensureCredentials(home);
  const versions: Record<string, string> = { edgeml: packageVersion(), node: process.versions.node };
  const binaries: Partial<Record<ServiceName, string>> = { server: process.execPath, worker: process.execPath };

  const cluster = wanted.includes('postgres')
    ? await createCluster({ home, port: () => ports.postgres, durable, note: say, signal })
    : undefined;
  const env = (): Record<string, string> =>
    ourEnvironment({ home, ports, cluster, external, keyFile, secretFile, more: options.env ?? {} });

  const specs: Partial<Record<ServiceName, ServiceSpec>> = {};
  if (cluster !== undefined) {
    specs.postgres = cluster.spec;
    versions['postgres'] = cluster.version;
    binaries.postgres = cluster.binary;
  }
  if (wanted.includes('nats')) {
    const binary = await findBinary('nats', settings, say, signal);
    specs.nats = natsSpec({ home, binary, ports: () => ({ client: ports.nats, monitor: ports.nats_monitor }) });
    versions['nats'] = binary.version;
    binaries.nats = binary.file;
  }
  if (wanted.includes('temporal')) {
    const binary = await findBinary('temporal', settings, say, signal);
    const ui = (): number | undefined => (options.ui === true ? ports.temporal_ui : undefined);
    const where = () => ({ frontend: ports.temporal, metrics: ports.temporal_metrics, ui: ui() });
    const config = options.temporalConfig ?? {};
    specs.temporal = temporalSpec({ home, binary, ports: where, note: say, config });
    versions['temporal'] = binary.version;
    binaries.temporal = binary.file;
  }
  if (wanted.includes('server'))
    specs.server = serverSpec({ home, env, port: () => ports.api }, options.commands?.server);
  if (wanted.includes('worker')) specs.worker = workerSpec({ home, env }, options.commands?.worker);

  let giveUp: (why: string) => void = () => undefined;
  const gaveUp = new Promise<string>((resolve) => (giveUp = resolve));
  const services = new Map<ServiceName, Supervised>();
  let state: StackRecord['state'] = 'starting';
  const running: Partial<Record<ServiceName, ServiceRecord>> = {};
  const launcher = identify(process.pid) ?? { pid: process.pid, started: 'unknown' };
  const record = (): StackRecord => ({
    state,
    url: `http://127.0.0.1:${ports.api}`,
    key_file: keyFile,
    launcher,
    pids: {
      launcher: process.pid,
      ...Object.fromEntries(Object.entries(running).map(([name, { pid }]) => [name, pid])),
    },
    ports: { ...ports },
    versions,
    env: env(),
    services: running,
  });
  for (const name of wanted) {
    const spec = specs[name];
    if (spec === undefined) continue;
    const watch = {
      onProcess: (identity: Identity | undefined) => {
        if (identity === undefined) delete running[name];
        else
          running[name] = {
            ...identity,
            binary: binaries[name] ?? '',
            version: versions[name] ?? versions['edgeml'] ?? '',
            log: spec.log,
          };
        writeStack(home, record());
      },
      onGaveUp: (_: string, why: string) => {
        say(why);
        giveUp(why);
      },
      note: say,
      countsCrashes: () => [...services.values()].every((service) => service.isWanted),
    };
    services.set(name, new Supervised(withOtherPorts(spec, name, ports), watch));
  }

  const need = (name: ServiceName): Supervised => {
    const service = services.get(name);
    if (service === undefined) throw new Error(`${name} is not part of this stack`);
    return service;
  };
  const stopAll = async (): Promise<void> => {
    for (const name of [...SERVICES].filter((service) => service !== 'worker' && service !== 'server').reverse()) {
      await services.get(name)?.stop();
    }
  };
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      await services.get('server')?.stop();
      await services.get('worker')?.stop();
      await stopAll();
      removeStackFile(home);
      release();
    })());

  const stopNow = (): void => void stop().catch(() => undefined); // whoever awaits it below is told
  signal?.addEventListener('abort', stopNow, { once: true });
  try {
    const begin = (name: ServiceName): Promise<void> => {
      refuseInterrupted(signal);
      return services.get(name)?.start() ?? Promise.resolve();
    };
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
  state = 'ready';
  writeStack(home, record());

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
    wipeTemporal: () => {
      if (need('temporal').identity !== undefined)
        throw new Error('Temporal is running: stop it before its file is deleted');
      wipeTemporalFile(home);
    },
    gaveUp,
    stop,
  };
}
