/** A stream as its machine sees it now, for the load activities. */
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import type { Folded, Machine } from '../machines/fold.ts';
import { foldStreams, type FoldLog } from '../store/snapshots/foldStreams.ts';

export interface Standing<C> {
  readonly stream: string;
  readonly folded: Folded<C>;
  /** The database's clock at the read, Unix ms. */
  readonly now: number;
}

/**
 * @param _machine of the stream: it says what the context is
 * @throws LifecycleError `missing` where the stream does not exist; `stream_diverged` where its machine refuses a fact
 */
export async function foldStream<C>(
  log: FoldLog,
  _machine: Machine<C>,
  stream: string,
  missing: ErrorCode,
): Promise<Standing<C>> {
  const loaded = await foldStreams(log, [stream]);
  loaded.afterwards();
  const { first, folded } = loaded.streams.get(stream)!;
  if (!first) throw new LifecycleError(missing, `${stream} has no facts.`);
  if (folded.divergence) {
    const { type, version, state } = folded.divergence;
    throw new LifecycleError('stream_diverged', `${stream} holds ${type} (version ${version}), refused in ${state}.`);
  }
  // The kind in the stream's name chose the machine, and the machine fixes the context type.
  return { stream, folded: folded as Folded<C>, now: loaded.now.getTime() };
}
