/**
 * The Temporal dev server with a database file. It neither migrates a file of another version nor refuses it, and writes no version into
 * it; so `temporal.version` beside the file decides, and what does not fit is moved aside: the log refills it
 * (docs/design/temporal.md "Upgrade of the dev server").
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Binary } from './binaries.ts';
import { accepts } from './ports.ts';
import type { ServiceSpec } from './supervise.ts';

export interface TemporalOptions {
  readonly home: string;
  readonly binary: Binary;
  readonly ports: () => { readonly frontend: number; readonly metrics: number; readonly ui: number | undefined };
  readonly note: (line: string) => void;
  /** Dynamic configuration; a key that it does not know is passed over without a word. */
  readonly config?: Readonly<Record<string, string>>;
}

const folder = (home: string): string => join(home, 'temporal');
const databaseFile = (home: string): string => join(folder(home), 'temporal.db');
/** The WAL is not folded in after SIGTERM: the three belong together. */
const parts = (home: string): string[] => ['', '-wal', '-shm'].map((suffix) => databaseFile(home) + suffix);

/** Loses every workflow, as a disk fault would. The server must be down. */
export function wipeTemporalFile(home: string): void {
  for (const part of parts(home)) rmSync(part, { force: true });
}

function moveAside(home: string, why: string, note: (line: string) => void): void {
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  for (const part of parts(home)) if (existsSync(part)) renameSync(part, `${part}.${stamp}`);
  note(
    `Temporal's file ${why}: moved aside as temporal.db.${stamp}, starting empty; the log starts its workflows again.`,
  );
}

function checkVersion(home: string, version: string, note: (line: string) => void): void {
  const file = join(folder(home), 'temporal.version');
  const made = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'an unknown version';
  if (existsSync(databaseFile(home)) && made !== version) moveAside(home, `is of ${made}, this is ${version}`, note);
  writeFileSync(file, `${version}\n`);
}

async function answers(address: string, namespace: string): Promise<boolean> {
  // Loaded when needed: `npm stop` and the tests of the supervisor do not need a gRPC client.
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address, connectTimeout: 5_000 });
  try {
    await connection.withDeadline(Date.now() + 5_000, () => connection.workflowService.getSystemInfo({}));
    await connection.withDeadline(Date.now() + 5_000, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    return true;
  } finally {
    await connection.close();
  }
}

export function temporalSpec({ home, binary, ports, note, config = {} }: TemporalOptions): ServiceSpec {
  return {
    name: 'temporal',
    log: join(home, 'logs', 'temporal.log'),
    program: () => {
      mkdirSync(folder(home), { recursive: true });
      checkVersion(home, binary.version, note);
      const { frontend, metrics, ui } = ports();
      return {
        file: binary.file,
        args: [
          ...[
            'server',
            'start-dev',
            '--ip',
            '127.0.0.1',
            '--port',
            String(frontend),
            '--metrics-port',
            String(metrics),
          ],
          ...(ui === undefined ? ['--headless'] : ['--ui-port', String(ui)]),
          ...['--db-filename', databaseFile(home), '--sqlite-pragma', 'journal_mode=WAL'],
          ...['--sqlite-pragma', 'synchronous=NORMAL', '--log-level', 'warn'],
          ...Object.entries({ 'frontend.enableServerVersionCheck': 'false', ...config }).flatMap(([key, value]) => [
            '--dynamic-config-value',
            `${key}=${value}`,
          ]),
        ],
      };
    },
    isReady: async () =>
      (await accepts(ports().frontend)) && (await answers(`127.0.0.1:${ports().frontend}`, 'default')),
    mend: (how) => {
      if (how !== 'exit code 1' || !existsSync(databaseFile(home))) return Promise.resolve(false);
      moveAside(home, 'cannot be opened', note);
      return Promise.resolve(true);
    },
  };
}
