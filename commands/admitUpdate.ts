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
import type { Queryable } from '../store/queryable.ts';
import type { RoundRow } from '../store/rounds/roundRow.ts';
import type { AcceptedRow, Receipt, Task } from '../store/rounds/roundStore.ts';
import { baseLayout, maxUpdateBytes } from './baseTensors.ts';
import type { Caller, CommandDeps } from './context.ts';
import { DIVERGED, executeUnder, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
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

/**
 * The accept, under the run's lock: decided again where the run's stream moved under the closing append (a pause). The caller is the
 * round, not the device: no fact is about one.
 */
async function accept(
  deps: CommandDeps,
  { taskId, round }: Task,
  sha: string,
  bytes: number,
  admitted: Admitted,
): Promise<UpdateOutcome> {
  const { runId } = round;
  let answer: UpdateOutcome | undefined;
  await executeUnder(
    deps,
    closerOf(round),
    (tx) => deps.rounds.lockRun(tx, runId),
    async (streams, tx) => {
      const task = await deps.rounds.task(taskId, tx);
      if (!task) throw new LifecycleError('task_unknown', `There is no task ${taskId}.`);
      answer = settledBy(task, sha) ?? fullOrContributed(task);
      if (answer) return { kind: 'already' };
      const { pseudonymHex } = task;
      if (pseudonymHex === null) {
        answer = refused('gone', `The key of run ${runId} was deleted.`);
        return { kind: 'already' };
      }

      const { samples, weight, norm, maxAbs, metrics } = admitted;
      const row = { taskId, updateSha: sha, pseudonymHex, weight, samples, norm, maxAbs, bytes, metrics };
      const cause = causeOf(task, row);
      const closing = cause && (await closingPart(deps, streams, tx, task.round, row, cause));
      const counts = { counted: samples > 0 ? 1 : 0, closes: closing ? cause : null } as const;
      const write = async (after: Queryable) => {
        const receipt = await deps.rounds.accept(after, task, row, counts);
        await deps.grants.grant(task.round.orgId, [sha], after);
        answer = { outcome: 'accepted', receipt };
      };
      return closing ? joinDecisions([closing], write) : { kind: 'rows', write };
    },
  );
  if (!answer) throw new Error(`round ${round.roundId} is open, and its log says that it was closed`);
  return answer;
}

/** The command id is the round's own, so that the workflow's close at the deadline gets the outcome of this one. */
const closerOf = ({ runId, round, attempt }: RoundRow): Caller => ({
  actor: { kind: 'system', id: 'rounds' },
  orgId: null,
  commandId: roundStepId(runId, round, attempt, 'close'),
  commandHash: null,
  correlationId: null,
  causationId: null,
  onConflict: 'redecide',
  lane: 'upload',
});

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

/** RoundClosed of the run's stream. Undefined where its chart refuses it: the round stays open, with the update in it. */
async function closingPart(
  deps: CommandDeps,
  streams: Streams,
  tx: Queryable,
  round: RoundRow,
  row: AcceptedRow,
  cause: RoundClosedData['cause'],
): Promise<DecidedPart | undefined> {
  const run = await unlessDiverged(streams.training(round.runId));
  if (!run) return undefined;
  const data = await closingData(deps, tx, round, cause, row);
  const decision = decideTraining(run, { type: 'closeRound', data }, streams.now().getTime());
  return decision.kind === 'facts' ? { stream: trainingStream(round.runId), decision } : undefined;
}

/** Nothing is appended to a stream that its chart cannot read, and the device's update is no worse for it. */
const unlessDiverged = (run: Promise<TrainingState>): Promise<TrainingState | undefined> =>
  run.catch((error: unknown) => {
    if (error instanceof LifecycleError && error.code === DIVERGED) return undefined;
    throw error;
  });
