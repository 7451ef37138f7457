/** Temporal's native runtime: one a process, installed first. Its logs go through ours, or an outage prints raw lines to stderr. */
import { DefaultLogger, NativeConnection, Runtime, type LogLevel } from '@temporalio/worker';
import { within } from '../store/within.ts';
import type { ActivityLogger } from './deps.ts';

const METHOD: Readonly<Record<LogLevel, keyof ActivityLogger | undefined>> = {
  TRACE: undefined,
  DEBUG: undefined,
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
};

/** Call it once, before any connection; a second call throws. We handle signals ourselves. */
export function installRuntime(logger: ActivityLogger, metricsPort?: number, metricsHost = '127.0.0.1'): void {
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const method = METHOD[level];
      if (method) logger[method]({ ...meta }, message);
    }),
    shutdownSignals: [],
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} },
      ...(metricsPort === undefined
        ? {}
        : { metrics: { prometheus: { bindAddress: `${metricsHost}:${metricsPort}` } } }),
    },
  });
}

export interface TemporalTarget {
  readonly address: string;
  readonly tls: boolean;
  readonly apiKey?: string;
}

const CONNECT_MS = 10_000;

/** The connection of workers. The caller closes it. @throws what Temporal's client throws where nobody answers; Error after 10 s */
export async function connectWorker({ address, tls, apiKey }: TemporalTarget): Promise<NativeConnection> {
  const connecting = NativeConnection.connect({
    address,
    ...(tls ? { tls: true } : {}),
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  try {
    return await within(CONNECT_MS, 'Temporal', connecting);
  } catch (error) {
    // One that comes after we gave up has no other owner.
    void connecting.then(
      (late) => late.close(),
      () => undefined,
    );
    throw error;
  }
}
