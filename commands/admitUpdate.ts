/**
 * A device's update joins its round (docs/design/learning.md "Accepting an update"). What needs no byte is checked first; then the body
 * passes once, to a spool file, hashed and shown to the gate. The blob is durable first; then, in one transaction under the run's lock: plain
 * reads, the append if this update closes the round, the rows. So the closing root includes it, and a crash leaves the round open
 * without it, or closed with it. A repeat gets the stored receipt, also after the close.
 */
import { createHash } from 'node:crypto';
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import { roundStepId } from '../domain/events/commandIds.ts';
import type { RoundClosedData } from '../domain/events/training.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { scanSafetensors } from '../domain/formats/safetensors/index.ts';
import { openGate, type AdmissionTerms, type Admitted } from '../domain/learning/index.ts';
import { isRefusal, refuse, type Refusal } from '../domain/refusal.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { BlobStat } from '../store/artifacts/artifactStore.ts';
import type { Queryable } from '../store/queryable.ts';
import type { RoundRow } from '../store/rounds/roundRow.ts';
import type { AcceptedRow, Receipt, Task } from '../store/rounds/roundStore.ts';
import { baseLayout, maxHeaderBytes, maxUpdateBytes, type BaseLayout } from './baseTensors.ts';
import type { Caller, CommandDeps } from './context.ts';
import { DIVERGED, executeUnder, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { heldTask, unwanted, type HeldTask } from './heldTask.ts';
import { closingData, countedOf } from './roundClosing.ts';

/** A body as its sender announces it, and as it comes. */
export interface UpdateBody {
  /** `Content-Length`: exactly so many bytes come, or reading them throws. Null where it is not announced. */
  readonly length: number | null;
  /** Media type without parameters, in lower case; null where none is named. */
  readonly mediaType: string | null;
  /** Called once at most, after all checks that need no byte. It may refuse by throwing. */
  open(): AsyncIterable<Uint8Array>;
}

export interface AdmitUpdate extends HeldTask {
  /** A safetensors file. */
  readonly body: UpdateBody;
  /** SHA-256 that the device claims (`Repr-Digest`), hex; null where it claims none. */
  readonly digest: string | null;
  /** Bytes that this server takes at most; without it, what the base allows. */
  readonly most?: number;
}

export type UpdateOutcome =
  /** 201 the first time, 200 on a repeat. */
  | { readonly outcome: 'accepted' | 'repeated'; readonly receipt: Receipt }
  /** With `tensor`, `cause` or `max`, where the code has one. */
  | { readonly outcome: 'refused'; readonly refusal: Refusal };

/** After these the device may send again on the same task; every other refusal of the body ends it and frees the slot. */
const LEAVES_TASK_OPEN: readonly ErrorCode[] = [
  'length_required',
  'unsupported_media_type',
  'payload_too_large',
  'checksum_mismatch',
];
const MEDIA_TYPE = 'application/octet-stream';

/**
 * @throws LifecycleError `task_unknown`, `lease_invalid`, `not_your_task`; what the body throws; Fatal where the store cannot tell what
 *   happened
 */
export async function admitUpdate(deps: CommandDeps, input: AdmitUpdate): Promise<UpdateOutcome> {
  const { body, digest } = input;
  const task = await heldTask(deps, input);
  const settled = digest === null && task.receipt ? undefined : settledBy(task, digest);
  if (settled) return settled;

  const layout = await baseLayout(deps.blobs, task.round.baseSha);
  const max = Math.min(maxUpdateBytes(layout), input.most ?? Infinity);
  const announced = checkAnnounced(body, max);
  if (announced) return turnAway(deps, task, announced);
  // Only the bytes say whether it is the update that was accepted.
  const chunks = body.open();
  if (task.receipt) return settledBy(task, await sha256Of(chunks))!;

  const gate = openGate(termsOf(task, layout));
  const scan = scanSafetensors(body.length!, maxHeaderBytes(layout), {
    header: ({ metadata, entries }) => gate.header({ metadata, tensors: entries }),
    data: ({ name }, bytes, isLast) => gate.data(name, bytes, isLast),
  });
  let fault: Refusal | undefined;
  async function* scanned() {
    for await (const chunk of chunks) {
      fault = scan.take(chunk);
      if (fault) return;
      yield chunk;
    }
    fault = scan.end();
  }
  const spooled = await deps.blobs.spool(scanned(), { max });
  try {
    const { sha256 } = spooled;
    if (fault) return await turnAway(deps, task, fault);
    if (digest !== null && digest !== sha256) {
      const detail = `Repr-Digest says ${digest}, the body has ${sha256}.`;
      return await turnAway(deps, task, refuse('checksum_mismatch', detail));
    }
    const admitted = gate.verdict();
    if (isRefusal(admitted)) return await turnAway(deps, task, admitted);
    const blob = await spooled.keep();
    const outcome = await accept(deps, task, blob, admitted);
    if (outcome.outcome === 'refused') await deps.rounds.refuse(task, outcome.refusal.code, false);
    return outcome;
  } finally {
    await spooled.discard();
  }
}

/** An earlier answer, or a task that takes nothing any more. `sha` is that of the body, null where no one has said it yet. */
function settledBy(task: Task, sha: string | null): UpdateOutcome | undefined {
  if (task.receipt) {
    if (task.receipt.updateSha === sha) return { outcome: 'repeated', receipt: task.receipt };
    return refused(
      refuse('conflict', `Task ${task.taskId} was answered with another update, ${task.receipt.updateSha}.`),
    );
  }
  const why = unwanted(task);
  return why && refused(why);
}

const refused = (refusal: Refusal): UpdateOutcome => ({ outcome: 'refused', refusal });

/** Counts a refusal of the body, and ends the task where the device cannot mend it. */
async function turnAway(deps: CommandDeps, task: Task, refusal: Refusal): Promise<UpdateOutcome> {
  await deps.rounds.refuse(task, refusal.code, !LEAVES_TASK_OPEN.includes(refusal.code));
  return refused(refusal);
}

/** What the headers alone say. */
function checkAnnounced({ length, mediaType }: UpdateBody, max: number): Refusal | undefined {
  if (length === null) return refuse('length_required', 'Send the update with Content-Length.');
  if (mediaType !== null && mediaType !== MEDIA_TYPE)
    return refuse('unsupported_media_type', `Send the update as ${MEDIA_TYPE}, not as ${mediaType}.`);
  if (length > max) return refuse('payload_too_large', `${length} bytes; at most ${max}.`, { max });
  return undefined;
}

async function sha256Of(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

const termsOf = ({ taskId, round }: Task, layout: BaseLayout): AdmissionTerms => ({
  base: layout.tensors,
  baseSha: round.baseSha,
  roundId: round.roundId,
  taskId,
  maxNorm: round.maxNorm,
  limit: round.gridLimit,
  spec: round.plan,
});

/**
 * The accept, under the run's lock: decided again where the run's stream moved under the closing append (a pause). The caller is the
 * round, not the device: no fact is about one.
 */
async function accept(
  deps: CommandDeps,
  { taskId, round }: Task,
  { sha256: sha, bytes }: BlobStat,
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
        answer = refused(refuse('gone', `The key of run ${runId} was deleted.`));
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
function fullOrContributed({ hasContributed, round }: Task): UpdateOutcome | undefined {
  const { roundId, accepted, room } = round;
  if (hasContributed) return refused(refuse('per_device_limit', `The device has contributed to round ${roundId}.`));
  if (accepted >= room) return refused(refuse('round_full', `Round ${roundId} has ${accepted} updates.`));
  return undefined;
}

/** Whether this update closes its round: it reaches the goal, or the quorum after the deadline. */
function causeOf(
  { round, now }: Task,
  row: AcceptedRow,
): Extract<RoundClosedData['cause'], 'goal' | 'late_quorum'> | null {
  // Lifecycle API updates have samples, so the row's count needs no second look at those without.
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
