/** `EDGEML_HOME/stack.json`: what runs, where, and with which keys. Written by the launcher alone, 0600, by rename. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endProcess, isAlive, type Identity } from './processes.ts';

export const SERVICES = ['postgres', 'nats', 'temporal', 'server', 'worker'] as const;
export type ServiceName = (typeof SERVICES)[number];

export const PORT_NAMES = [
  'api',
  'postgres',
  'nats',
  'nats_monitor',
  'temporal',
  'temporal_ui',
  'temporal_metrics',
  'worker_metrics',
] as const;
export type Ports = Record<(typeof PORT_NAMES)[number], number>;

/** What `npm start` asks for; docker-compose.yml publishes the same. */
export const PREFERRED_PORTS: Readonly<Ports> = {
  api: 7400,
  postgres: 7401,
  nats: 7402,
  nats_monitor: 7412,
  temporal: 7403,
  temporal_ui: 7413,
  temporal_metrics: 7433,
  worker_metrics: 7423,
};

export interface ServiceRecord extends Identity {
  readonly binary: string;
  readonly version: string;
  readonly log: string;
}

export interface StackRecord {
  readonly state: 'starting' | 'ready';
  readonly url: string;
  readonly key_file: string;
  readonly launcher: Identity;
  readonly pids: Readonly<Record<string, number>>;
  readonly ports: Readonly<Ports>;
  readonly versions: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly services: Readonly<Partial<Record<ServiceName, ServiceRecord>>>;
}

const fileOf = (home: string): string => join(home, 'stack.json');

/** Undefined if there is none, or none that is ours to understand. */
export function readStack(home: string): StackRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(fileOf(home), 'utf8'));
    const isOurs = typeof value === 'object' && value !== null && 'services' in value && 'launcher' in value;
    return isOurs ? (value as StackRecord) : undefined; // written by writeStack, whole or not at all
  } catch {
    return undefined;
  }
}

export function writeStack(home: string, record: StackRecord): void {
  writeFileSync(`${fileOf(home)}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${fileOf(home)}.new`, fileOf(home));
}

export function removeStackFile(home: string): void {
  rmSync(fileOf(home), { force: true });
}

/** SIGTERM is Postgres' "smart" shutdown, which waits for every client to leave. */
export const STOP_SIGNAL: Readonly<Partial<Record<ServiceName, NodeJS.Signals>>> = { postgres: 'SIGINT' };

/**
 * Ends what a killed launcher left running, in the order of a stop. Only processes that are still the very ones of the record. The
 * caller holds the home's lock, or knows that its launcher is dead.
 *
 * @returns the names of those that were still there
 */
export async function endLeftovers(home: string): Promise<ServiceName[]> {
  const record = readStack(home);
  const left = [...SERVICES].reverse().filter((name) => {
    const service = record?.services[name];
    return service !== undefined && isAlive(service);
  });
  for (const name of left) {
    const service = record?.services[name];
    if (service !== undefined) await endProcess(service, STOP_SIGNAL[name]);
  }
  removeStackFile(home);
  return left;
}
