/** What a stack is made of: which parts run here, from which programs, on which ports, and what our own processes are told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readDevSettings, type DevSettings } from './settings.ts';
import { findBinary, type Binary } from './binaries.ts';
import { ensureCredentials } from './credentials.ts';
import { natsSpec } from './nats.ts';
import { createCluster, type Cluster } from './postgres.ts';
import { ourEnvironment, serverSpec, workerSpec, type CommandOverride } from './programs.ts';
import { SERVICES, type Ports, type ServiceName } from './stackFile.ts';
import { choosePorts } from './stackPorts.ts';
import type { ServiceSpec } from './supervise.ts';
import { temporalSpec } from './temporal.ts';

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

/** One program that runs here. */
export interface Part {
  readonly name: ServiceName;
  readonly spec: ServiceSpec;
  readonly binary: string;
  readonly version: string;
}

export interface Parts {
  /** In the order of their start. */
  readonly parts: readonly Part[];
  /** Those of the moment: a part may move to other ones when somebody took its own. */
  readonly ports: Ports;
  readonly cluster: Cluster | undefined;
  readonly keyFile: string;
  /** What the server and the worker are given, at the ports of the moment. */
  readonly env: () => Record<string, string>;
}

/** The part a variable switches off. */
const SWITCH: Readonly<Partial<Record<ServiceName, string>>> = {
  postgres: 'DATABASE_URL',
  nats: 'NATS_URL',
  temporal: 'TEMPORAL_ADDRESS',
};

export function packageVersion(): string {
  // Our own file, with a version in it.
  return (JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string })
    .version;
}

interface Ground {
  readonly home: string;
  readonly ports: Ports;
  readonly find: (name: 'nats' | 'temporal') => Promise<Binary>;
}

async function natsPart({ home, ports, find }: Ground): Promise<Part> {
  const binary = await find('nats');
  const spec = natsSpec({ home, binary, ports: () => ({ client: ports.nats, monitor: ports.nats_monitor }) });
  return { name: 'nats', spec, binary: binary.file, version: binary.version };
}

async function temporalPart({ home, ports, find }: Ground, options: StackOptions): Promise<Part> {
  const { ui = false, temporalConfig: config = {}, say: note = () => undefined } = options;
  const binary = await find('temporal');
  const where = () => ({
    frontend: ports.temporal,
    metrics: ports.temporal_metrics,
    ui: ui ? ports.temporal_ui : undefined,
  });
  const spec = temporalSpec({ home, binary, ports: where, note, config });
  return { name: 'temporal', spec, binary: binary.file, version: binary.version };
}

/**
 * Chooses ports, makes what the home lacks, finds each program. Starts nothing.
 *
 * @throws Interrupted; Error with every way to get a program that was not found
 */
export async function findParts(options: StackOptions): Promise<Parts> {
  const { home, durable = true, say = () => undefined, settings = readDevSettings(), signal } = options;
  const external = options.external ?? settings.external;
  const isOurs = (name: ServiceName): boolean => external[SWITCH[name] ?? ''] === undefined;
  const wanted = SERVICES.filter((name) => (options.services ?? SERVICES).includes(name) && isOurs(name));
  const ports = await choosePorts(options.ports ?? 'free', wanted, say);
  const { keyFile, secretFile } = ensureCredentials(home);
  const cluster = wanted.includes('postgres')
    ? await createCluster({ home, port: () => ports.postgres, durable, note: say, signal })
    : undefined;
  const env = () => ourEnvironment({ home, ports, cluster, external, keyFile, secretFile, more: options.env ?? {} });

  const place: Ground = { home, ports, find: (name) => findBinary(name, settings, say, signal) };
  const ours = { binary: process.execPath, version: packageVersion() };
  const server = () => serverSpec({ home, env, port: () => ports.api }, options.commands?.server);
  const worker = () => workerSpec({ home, env }, options.commands?.worker);
  const parts: Part[] = [];
  if (cluster) {
    const { spec, binary, version } = cluster;
    parts.push({ name: 'postgres', spec, binary, version });
  }
  if (wanted.includes('nats')) parts.push(await natsPart(place));
  if (wanted.includes('temporal')) parts.push(await temporalPart(place, options));
  if (wanted.includes('server')) parts.push({ name: 'server', spec: server(), ...ours });
  if (wanted.includes('worker')) parts.push({ name: 'worker', spec: worker(), ...ours });
  return { parts, ports, cluster, keyFile, env };
}
