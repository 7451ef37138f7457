/** The parts of a stack under supervision, and the record of them that stands in `stack.json`. */
import { identify, type Identity } from './processes.ts';
import { writeStack, type ServiceName, type ServiceRecord, type StackRecord } from './stackFile.ts';
import { packageVersion, type Part, type Parts } from './stackParts.ts';
import { withOtherPorts } from './stackPorts.ts';
import { Supervised, type Watch } from './supervise.ts';

export interface Services {
  get(name: ServiceName): Supervised | undefined;
  /** @throws Error where the part runs elsewhere, or nowhere */
  need(name: ServiceName): Supervised;
  /** As it stands now. */
  record(): StackRecord;
  /** Every part answers: the record says so from now on. */
  markReady(): void;
  /** Resolves with the text once a service has been given up. Never rejects. */
  readonly gaveUp: Promise<string>;
}

/** Starts nothing. Whenever a process of a part comes or goes, the record is written first, so a killed launcher leaves a true one. */
export function superviseParts(home: string, found: Parts, say: (line: string) => void): Services {
  const { parts, ports, keyFile, env } = found;
  const services = new Map<ServiceName, Supervised>();
  const running: Partial<Record<ServiceName, ServiceRecord>> = {};
  const versions = Object.fromEntries(parts.filter(isForeign).map(({ name, version }) => [name, version]));
  const launcher = identify(process.pid) ?? { pid: process.pid, started: 'unknown' };
  let state: StackRecord['state'] = 'starting';
  let giveUp: (why: string) => void = () => undefined;
  const gaveUp = new Promise<string>((resolve) => (giveUp = resolve));

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
    versions: { edgeml: packageVersion(), node: process.versions.node, ...versions },
    env: env(),
    services: running,
  });
  const watchOf = ({ name, spec, binary, version }: Part): Watch => ({
    onProcess: (identity: Identity | undefined) => {
      if (identity === undefined) delete running[name];
      else running[name] = { ...identity, binary, version, log: spec.log };
      writeStack(home, record());
    },
    onGaveUp: (_, why) => {
      say(why);
      giveUp(why);
    },
    note: say,
    countsCrashes: () => [...services.values()].every((service) => service.isWanted),
  });
  for (const part of parts) {
    services.set(part.name, new Supervised(withOtherPorts(part.spec, part.name, ports), watchOf(part)));
  }

  return {
    get: (name) => services.get(name),
    need(name) {
      const service = services.get(name);
      if (service === undefined) throw new Error(`${name} is not part of this stack`);
      return service;
    },
    record,
    markReady() {
      state = 'ready';
      writeStack(home, record());
    },
    gaveUp,
  };
}

/** Not of our own package. */
const isForeign = ({ name }: Part): boolean => name !== 'server' && name !== 'worker';
