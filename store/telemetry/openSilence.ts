/** Opens the windows of `silence` of devices that were told a version, and notes that they were heard. */
import type { Watch } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';

export interface ToldWatch {
  readonly deviceId: string;
  /** The database's time. */
  readonly at: Date;
  /** `watchTold` */
  readonly watch: Watch;
}

/** Durable when it returns; idempotent; of a device as many as there are. @param shard as of `recordReports` */
export async function openSilence(on: Queryable, marks: readonly ToldWatch[], shard: number): Promise<void> {
  if (marks.length === 0) return;
  const rows = marks.map(({ deviceId, at, watch }) => ({ device: deviceId, at, watch }));
  await on.query('SELECT ops.open_silence($1, $2)', [JSON.stringify(rows), shard]);
}
