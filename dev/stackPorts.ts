/** Which ports the parts of a stack get. */
import { choosePort } from './ports.ts';
import { PORT_NAMES, PREFERRED_PORTS, type Ports, type ServiceName } from './stackFile.ts';
import type { ServiceSpec } from './supervise.ts';

const PORTS_OF: Readonly<Record<ServiceName, readonly (keyof Ports)[]>> = {
  postgres: ['postgres'],
  nats: ['nats', 'nats_monitor'],
  temporal: ['temporal', 'temporal_ui', 'temporal_metrics'],
  server: ['api'],
  worker: ['worker_metrics'],
};

/** A port for each of `wanted`; the others keep their preferred number, which nobody takes. `say`: a line where one is not as preferred. */
export async function choosePorts(
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
export function withOtherPorts(spec: ServiceSpec, name: ServiceName, ports: Ports): ServiceSpec {
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
