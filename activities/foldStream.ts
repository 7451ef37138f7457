/** A stream as its machine sees it now, for the load activities. */
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import type { StreamKind, StreamName } from '../domain/events/streams.ts';
import type { Folded } from '../machines/fold.ts';
import { stateOf, type StateByKind } from '../machines/registry.ts';
import { foldStreams, type FoldLog } from '../store/snapshots/foldStreams.ts';

export interface Standing<F extends Folded<unknown>> {
  readonly stream: string;
  readonly folded: F;
  /** The database's clock at the read, Unix ms. */
  readonly now: number;
}

/** @throws LifecycleError `missing` where the stream does not exist; `stream_diverged` where its machine refuses a fact */
export async function foldStream<K extends StreamKind>(
  log: FoldLog,
  stream: StreamName<K>,
  missing: ErrorCode,
): Promise<Standing<StateByKind[K]>> {
  const loaded = await foldStreams(log, [stream]);
  loaded.afterwards();
  const { first, folded } = loaded.streams.get(stream)!;
  if (!first) throw new LifecycleError(missing, `${stream} has no facts.`);
  if (folded.divergence) {
    const { type, version, state } = folded.divergence;
    throw new LifecycleError('stream_diverged', `${stream} holds ${type} (version ${version}), refused in ${state}.`);
  }
  return { stream, folded: stateOf(stream, folded), now: loaded.now.getTime() };
}
