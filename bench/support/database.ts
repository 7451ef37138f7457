/** A durable Postgres of the benchmark's own, with the log's schema, removed afterwards. */
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { choosePort } from '../../dev/ports.ts';
import { createCluster, removeData } from '../../dev/postgres.ts';
import { Supervised } from '../../dev/supervise.ts';
import { migrate } from '../../store/migrate.ts';

export interface BenchDatabase {
  readonly appUrl: string;
  readonly adminUrl: string;
  readonly version: string;
}

/** Runs `work` against a fresh cluster with fsync on, and stops and removes it whatever happens. */
export async function withDatabase<T>(work: (db: BenchDatabase) => Promise<T>): Promise<T> {
  const home = resolve('.edgeml', `bench-${process.pid}`);
  const port = await choosePort(undefined, new Set());
  const note = (line: string) => console.error(line);
  const cluster = await createCluster({ home, port: () => port, durable: true, note });
  const postgres = new Supervised(cluster.spec, {
    onProcess: () => undefined,
    onGaveUp: (name, why) => console.error(`${name}: ${why}`),
    note,
    countsCrashes: () => true,
  });
  const stopNow = () => void postgres.stop().finally(() => process.exit(130));
  process.once('SIGINT', stopNow).once('SIGTERM', stopNow);
  try {
    await postgres.start();
    await cluster.ensureDatabase();
    const [adminUrl, appUrl] = [cluster.adminUrl(), cluster.appUrl()];
    await migrate({ migrateUrl: adminUrl, appUrl });
    return await work({ adminUrl, appUrl, version: cluster.version });
  } finally {
    process.off('SIGINT', stopNow).off('SIGTERM', stopNow);
    await postgres.stop();
    removeData(home);
    rmSync(home, { recursive: true, force: true });
  }
}
