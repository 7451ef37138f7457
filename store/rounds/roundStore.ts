/**
 * The port of the rounds: rows about devices, which never become facts. Durable when a call returns (a call on a transaction:
 * when that commits); concurrent; unordered; idempotent where it says so. Who decides about a round holds {@link lockRun}.
 */
import type { ModelId } from '../../domain/brands.ts';
import type { OrgId } from '../../domain/org.ts';
import type { ManifestUpdate } from '../../domain/learning/manifest.ts';
import type { Queryable } from '../queryable.ts';
import type { NewRound, RoundRow } from './roundRow.ts';

/** What a device may prove later: the same for every repeat of an upload. */
export interface Receipt {
  readonly updateSha: string;
  readonly roundId: string;
  readonly weight: number;
  readonly samples: number;
  readonly acceptedAt: string;
}

/** What a manifest says of an update, and the task it came by. */
export interface AcceptedRow extends ManifestUpdate {
  readonly taskId: string;
}

export interface Task {
  readonly taskId: string;
  readonly deviceId: string;
  readonly lease: string;
  readonly expiresAt: string;
  readonly state: 'leased' | 'accepted' | 'aborted' | 'refused';
  /** Code of the refusal, or the device's reason for the abort. */
  readonly detail: string | null;
  readonly round: RoundRow;
  /** The device's pseudonym in this run, hex; null once the run's key is deleted. */
  readonly pseudonymHex: string | null;
  /** The accepted update of this task. */
  readonly receipt: Receipt | null;
  /** Another task of the device was accepted in this round. */
  readonly hasContributed: boolean;
  /** The database's clock. */
  readonly now: Date;
}

export interface LeasedTask {
  readonly taskId: string;
  readonly lease: string;
  readonly expiresAt: string;
}

export interface RoundStore {
  /** The lock of the run's open round (a run has one at a time), until the transaction ends. Before any stream's lock. */
  lockRun(tx: Queryable, runId: string): Promise<void>;
  /** The round's row, and the run's key if it has none yet. Idempotent by round id. */
  open(tx: Queryable, round: NewRound): Promise<void>;
  round(roundId: string, on?: Queryable): Promise<RoundRow | undefined>;
  /** Rounds of an organisation that collect, oldest first; of one run or model where given. */
  openRounds(of: { readonly orgId: OrgId; readonly runId?: string; readonly modelId?: ModelId }): Promise<RoundRow[]>;
  /** Every accepted update of a round, by task id. */
  accepted(roundId: string, on?: Queryable): Promise<AcceptedRow[]>;
  /** Refused uploads of a round, by code. */
  refused(roundId: string, on?: Queryable): Promise<Record<string, number>>;
  /** Distinct devices with an accepted update in the rounds named. */
  participants(roundIds: readonly string[], on?: Queryable): Promise<number>;
  /** Closes or abandons the row, after the fact was appended. */
  end(tx: Queryable, roundId: string, state: 'closed' | 'abandoned', cause: string): Promise<void>;

  /** A task for the device, or its live one; undefined where the round takes no more or has an update of the device. */
  lease(roundId: string, deviceId: string, fresh: { taskId: string; lease: string }): Promise<LeasedTask | undefined>;
  hasContributed(roundId: string, deviceId: string): Promise<boolean>;
  task(taskId: string, on?: Queryable): Promise<Task | undefined>;
  /** The update, its task, the round's counters and, where `closes` names a cause, its state. After the closing append. */
  accept(
    tx: Queryable,
    task: Task,
    update: AcceptedRow,
    counts: { readonly counted: 0 | 1; readonly closes: string | null },
  ): Promise<Receipt>;
  /** Counts a refused upload; `ends` also ends the task, which frees the device's slot. */
  refuse(task: Task, code: string, ends: boolean): Promise<void>;
  /** The device gives up. Repeats change nothing. @returns whether the task is aborted now */
  abort(taskId: string, reason: string): Promise<boolean>;
}
