/**
 * A device's update joins its round (docs/design/learning.md "Accepting an update"). The blob is durable first; then, in one
 * transaction under the run's lock: plain reads, the append if this update closes the round, the rows. So the closing root
 * includes it, and a crash leaves the round open without it, or closed with it. A repeat gets the stored receipt, also after the
 * close.
 */
import { createHash } from 'node:crypto';
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import { roundStepId } from '../domain/events/commandIds.ts';
import type { RoundClosedData } from '../domain/events/training.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { readSafetensors } from '../domain/formats/safetensors/index.ts';
import { admitUpdate as judge, type Admitted } from '../domain/learning/index.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { AppendTransaction } from '../store/log/eventStore.ts';
import type { AcceptedRow, Receipt, Task } from '../store/rounds/roundStore.ts';
import { foldStreams } from '../store/snapshots/foldStreams.ts';
import { baseLayout, maxUpdateBytes } from './baseTensors.ts';
import type { CommandDeps } from './context.ts';
import { toEvents } from './execute.ts';
import { heldTask, unwanted, type HeldTask } from './heldTask.ts';
import { closingData, countedOf } from './roundClosing.ts';

export interface AdmitUpdate extends HeldTask {
  /** The whole body: a safetensors file. */
  readonly bytes: Uint8Array;
  /** SHA-256 that the device claims (`Repr-Digest`), hex; null where it claims none. */
  readonly digest: string | null;
}

export type UpdateOutcome =
  /** 201 the first time, 200 on a repeat. */
  | { readonly outcome: 'accepted' | 'repeated'; readonly receipt: Receipt }
  | { readonly outcome: 'refused'; readonly code: ErrorCode; readonly detail: string; readonly tensor?: string };

type Refused = Extract<UpdateOutcome, { outcome: 'refused' }>;

/** After these the device may send again on the same task; every other refusal of the body ends it and frees the slot. */
const LEAVES_TASK_OPEN: readonly ErrorCode[] = ['checksum_mismatch', 'payload_too_large'];

/** @throws LifecycleError `task_unknown`, `lease_invalid`, `not_your_task`; Fatal where the store cannot tell what happened */
export async function admitUpdate(deps: CommandDeps, input: AdmitUpdate): Promise<UpdateOutcome> {
  const task = await heldTask(deps, input);
  const sha = createHash('sha256').update(input.bytes).digest('hex');
  const settled = settledBy(task, sha);
  if (settled) return settled;

  const layout = await baseLayout(deps.blobs, task.round.baseSha);
  const admitted = judgeBody(task, input, sha, layout.tensors, maxUpdateBytes(layout));
  if ('outcome' in admitted) {
    await deps.rounds.refuse(task, admitted.code, !LEAVES_TASK_OPEN.includes(admitted.code));
    return admitted;
  }
  await deps.blobs.put(input.bytes, { max: input.bytes.length, sha256: sha });
  const outcome = await accept(deps, task, sha, input.bytes.length, admitted);
  if (outcome.outcome === 'refused') await deps.rounds.refuse(task, outcome.code, false);
  return outcome;
}

/** What comes before the body is read: an earlier answer, or a task that takes nothing any more. */
function settledBy(task: Task, sha: string): UpdateOutcome | undefined {
  if (task.receipt) {
    if (task.receipt.updateSha === sha) return { outcome: 'repeated', receipt: task.receipt };
    return refused('conflict', `Task ${task.taskId} was answered with another update, ${task.receipt.updateSha}.`);
  }
  const why = unwanted(task);
  return why && refused(why.code, why.message);
}

const refused = (code: ErrorCode, detail: string, tensor?: string): Refused => ({
  outcome: 'refused',
  code,
  detail,
  ...(tensor === undefined ? {} : { tensor }),
});

/** The checks of the body: what only the round decides, no other update. */
function judgeBody(
  task: Task,
  { bytes, digest }: AdmitUpdate,
  sha: string,
  base: Parameters<typeof judge>[1]['base'],
  maxBytes: number,
): Admitted | Refused {
  const { round } = task;
  if (bytes.length > maxBytes) return refused('payload_too_large', `${bytes.length} bytes; at most ${maxBytes}.`);
  if (digest !== null && digest !== sha) {
    return refused('checksum_mismatch', `Repr-Digest says ${digest}, the body has ${sha}.`);
  }
  const verdict = judge(readSafetensors(bytes), {
    base,
    baseSha: round.baseSha,
    roundId: round.roundId,
    taskId: task.taskId,
    maxNorm: round.maxNorm,
    limit: round.gridLimit,
    spec: round.plan,
  });
  return 'refused' in verdict ? refused(verdict.refused, verdict.detail, verdict.tensor) : verdict;
}

/** The accept transaction; again where the run's stream moved under the closing append (a pause). */
async function accept(
  deps: CommandDeps,
  { taskId, round: { runId } }: Task,
  sha: string,
  bytes: number,
  admitted: Admitted,
): Promise<UpdateOutcome> {
  for (;;) {
    const outcome = await deps.log.transaction('upload', async (tx): Promise<UpdateOutcome | 'moved'> => {
      await deps.rounds.lockRun(tx, runId);
      const task = await deps.rounds.task(taskId, tx);
      if (!task) throw new LifecycleError('task_unknown', `There is no task ${taskId}.`);
      const settled = settledBy(task, sha) ?? fullOrContributed(task);
      if (settled) return settled;
      if (task.pseudonymHex === null) return refused('gone', `The key of run ${runId} was deleted.`);

      const { samples, weight, norm, maxAbs, metrics } = admitted;
      const row = {
        taskId,
        updateSha: sha,
        pseudonymHex: task.pseudonymHex,
        weight,
        samples,
        norm,
        maxAbs,
        bytes,
        metrics,
      };
      const cause = causeOf(task, row);
      const closing = cause && (await appendClose(deps, tx, task, row, cause));
      if (closing === 'moved') return 'moved';
      const counts = { counted: samples > 0 ? 1 : 0, closes: closing ? cause : null } as const;
      const receipt = await deps.rounds.accept(tx, task, row, counts);
      await deps.grants.grant(task.round.orgId, [sha], tx);
      return { outcome: 'accepted', receipt };
    });
    if (outcome !== 'moved') return outcome;
  }
}

/** What depends on the other updates of the round. */
function fullOrContributed({ hasContributed, round }: Task): Refused | undefined {
  if (hasContributed) return refused('per_device_limit', `The device has contributed to round ${round.roundId}.`);
  if (round.accepted >= round.room)
    return refused('round_full', `Round ${round.roundId} has ${round.accepted} updates.`);
  return undefined;
}

/** Whether this update closes its round: it reaches the goal, or the quorum after the deadline. */
function causeOf(
  { round, now }: Task,
  row: AcceptedRow,
): Extract<RoundClosedData['cause'], 'goal' | 'late_quorum'> | null {
  // Own-door updates have samples, so the row's count needs no second look at those without.
  const counted = round.counted + countedOf([row]);
  if (round.goal !== null && counted >= round.goal) return 'goal';
  const isLate = now.getTime() > Date.parse(round.deadline);
  return isLate && counted >= round.minUpdates ? 'late_quorum' : null;
}

/**
 * The first write of the transaction. The command id is the round's own, so that the workflow's close at the deadline gets this
 * outcome. A run whose chart refuses the close keeps its round open, with the update in it.
 */
async function appendClose(
  deps: CommandDeps,
  tx: AppendTransaction,
  task: Task,
  row: AcceptedRow,
  cause: RoundClosedData['cause'],
): Promise<'closed' | 'moved' | undefined> {
  const { runId, round, attempt } = task.round;
  const stream = trainingStream(runId);
  // No snapshot is left from within a transaction: the run's other commands do.
  const loaded = await foldStreams(deps.log, [stream]);
  // The kind in the stream's name chose the machine.
  const run = loaded.streams.get(stream)!.folded as TrainingState;
  const data = await closingData(deps, tx, task.round, cause, row);
  const decision = decideTraining(run, { type: 'closeRound', data }, loaded.now.getTime());
  if (decision.kind !== 'facts') return undefined;
  const result = await tx.append({
    commandId: roundStepId(runId, round, attempt, 'close'),
    commandHash: null,
    actor: { kind: 'system', id: 'rounds' }, // not the device: no fact is about one
    correlationId: null,
    causationId: null,
    expected: new Map([[stream, run.version]]),
    events: toEvents(
      decision.facts.map((fact) => ({ stream, fact })),
      deps.newId,
    ),
  });
  return result.outcome === 'appended' ? 'closed' : 'moved';
}
