/** A device asks for work: a task of an open round, or why there is none. Rows only; the log is not touched. */
import type { ModelId, Sha256 } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { trainingStream } from '../domain/events/streams.ts';
import type { OrgId } from '../domain/org.ts';
import { planSeed } from '../domain/learning/leases.ts';
import { isPaused, type TrainingState } from '../machines/trainingRun.ts';
import type { RoundRow } from '../store/rounds/roundRow.ts';
import type { LeasedTask } from '../store/rounds/roundStore.ts';
import { baseLayout, maxUpdateBytes, trainedTensors } from './baseTensors.ts';
import { foldStreams } from '../store/snapshots/foldStreams.ts';
import type { CommandDeps } from './context.ts';
import { ownerOf } from './ownership.ts';

export interface LeaseTask {
  readonly deviceId: string;
  readonly orgId: OrgId;
  /** Only this run; without it, the oldest open round the device has not answered. */
  readonly runId?: string;
  readonly modelId?: ModelId;
}

export type NoTask = 'no_round' | 'round_full' | 'run_paused' | 'already_contributed';

export interface TrainingTask extends LeasedTask {
  readonly round: RoundRow;
  /** Seed of the device's own randomness, hex. */
  readonly planSeed: string;
  readonly base: { readonly sha256: Sha256; readonly bytes: number };
  readonly upload: {
    readonly maxBytes: number;
    readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
  };
}

export type Leased =
  { readonly task: TrainingTask; readonly reason: null } | { readonly task: null; readonly reason: NoTask };

/** A live task of the device is answered again. @throws LifecycleError `training_not_found`, `blob_unknown` */
export async function leaseTask(deps: CommandDeps, { deviceId, ...of }: LeaseTask): Promise<Leased> {
  const open = await deps.rounds.openRounds(of);
  let reason: NoTask = 'no_round';
  for (const round of open) {
    const fresh = { taskId: deps.newId(), lease: deps.randomHex() };
    const leased = await deps.rounds.lease(round.roundId, deviceId, fresh);
    if (leased) return { task: await taskOf(deps, deviceId, round, leased), reason: null };
    reason = (await deps.rounds.hasContributed(round.roundId, deviceId)) ? 'already_contributed' : 'round_full';
  }
  if (open.length === 0 && of.runId !== undefined && (await isRunPaused(deps, of.orgId, of.runId)))
    reason = 'run_paused';
  return { task: null, reason };
}

async function taskOf(deps: CommandDeps, deviceId: string, round: RoundRow, leased: LeasedTask): Promise<TrainingTask> {
  const layout = await baseLayout(deps.blobs, round.baseSha);
  return {
    ...leased,
    round,
    planSeed: planSeed(round.plan.seed, round.round, round.attempt, deviceId),
    base: { sha256: layout.sha256, bytes: layout.bytes },
    upload: {
      maxBytes: maxUpdateBytes(layout),
      tensors: trainedTensors(layout).map(({ name, shape }) => ({ name, shape })),
    },
  };
}

async function isRunPaused({ log, owners }: CommandDeps, orgId: OrgId, runId: string): Promise<boolean> {
  const stream = trainingStream(runId);
  const { streams, afterwards } = await foldStreams(log, [stream]);
  afterwards();
  const { first, folded } = streams.get(stream)!;
  if (!first || (await ownerOf(owners, first)) !== orgId)
    throw new LifecycleError('training_not_found', `There is no training run ${runId}.`);
  // The kind in the stream's name chose the machine.
  return isPaused(folded as TrainingState);
}
