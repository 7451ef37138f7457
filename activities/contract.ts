/** Types only: what workflows see of the activities. One JSON object in, with `v: 1`, one out. */
import type { ModelId, Semver, Sha256 } from '../domain/brands.ts';
import type { WorkflowCommand } from '../commands/workflowCommand.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { StreamState } from '../domain/states.ts';
import type { AppendedEvent } from '../store/log/eventStore.ts';

/** A command as a plan proposes it: under its business key, for the version of the stream that was read. */
export interface Submission {
  readonly commandId: string;
  readonly expect: { readonly stream: string; readonly version: number };
  readonly command: WorkflowCommand;
}

export interface Submitted {
  readonly outcome: 'appended' | 'duplicate' | 'already' | 'stale' | 'refused';
  readonly events: readonly AppendedEvent[];
  /** Where it is `refused`. */
  readonly code?: ErrorCode;
  readonly why?: string;
}

/** What every view has: where the stream stands, and what comes next. */
export interface View<Step extends { readonly kind: string }> {
  readonly v: 1;
  readonly stream: string;
  readonly streamVersion: number;
  readonly state: StreamState;
  readonly next: Step;
}

type Submit<K extends string> = { readonly kind: K; readonly submit: Submission };

export type RolloutStep =
  | Submit<'enterStage'>
  | Submit<'complete'>
  | Submit<'pause'>
  /** The stage runs: watch it, and look again when `leftMs` have passed. */
  | { readonly kind: 'bake'; readonly leftMs: number }
  /** Nothing comes by itself, but the version may still be convicted. */
  | { readonly kind: 'watch' }
  | { readonly kind: 'done' };
export interface RolloutView extends View<RolloutStep> {
  readonly rolloutId: number;
  readonly epoch: number;
  readonly stage: number;
  readonly clockMs: number;
}

export type TrainingStepView =
  | Submit<'open'>
  | Submit<'close'>
  | Submit<'abandon'>
  | Submit<'pause'>
  | Submit<'finish'>
  | { readonly kind: 'collect'; readonly leftMs: number }
  | { readonly kind: 'aggregate' }
  | { readonly kind: 'evaluate' }
  | { readonly kind: 'wait'; readonly leftMs: number | null }
  | { readonly kind: 'done' };
export interface TrainingView extends View<TrainingStepView> {
  readonly runId: string;
  /** The round that is open or closed, else the last one that was aggregated. */
  readonly round: number;
  readonly attempt: number;
}

export type PublishStep = { readonly kind: 'build' } | { readonly kind: 'done' };
export interface PublishView extends View<PublishStep> {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly n: number;
}

export type RollbackStep =
  | { readonly kind: 'tell'; readonly notice: NoticeInput }
  /** Until enough devices are back, at most `leftMs`. */
  | { readonly kind: 'follow'; readonly leftMs: number }
  | { readonly kind: 'draft' }
  | { readonly kind: 'wait'; readonly leftMs: number }
  | { readonly kind: 'done' };
export type RollbackView = View<RollbackStep> & { readonly rolloutId: number };

export interface NoticeInput {
  /** The fact it tells of; `<fact>/<what>` where one fact has several; `alert:…` for what concerns operators. */
  readonly eventId: string;
  readonly audience: 'operators' | 'owners';
  readonly text: string;
}

type Call<I, O> = (input: { readonly v: 1 } & I) => Promise<O>;
type Rollout = { readonly rolloutId: number };
type Round = { readonly runId: string; readonly round: number; readonly attempt: number };
type Publication = { readonly modelId: ModelId; readonly version: Semver; readonly n: number };

/** Queue main: short. */
export interface MainActivities {
  loadRollout: Call<Rollout, RolloutView>;
  loadTraining: Call<{ readonly runId: string }, TrainingView>;
  loadPublishPlan: Call<Publication, PublishView>;
  loadRollback: Call<Rollout, RollbackView>;
  submitCommand: Call<Submission, Submitted>;
}
/** Queue main, with more patience. */
export interface TellActivities {
  notify: Call<NoticeInput, { readonly delivered: boolean }>;
  draftPostMortem: Call<Rollout, { readonly sha256: Sha256; readonly bytes: number }>;
}
/** Queue watch: they return when they have something to say. */
export interface WatchActivities {
  /** `streamVersion`: what the caller has seen; anything newer ends the watch. */
  watchStage: Call<
    Rollout & { readonly streamVersion: number },
    { readonly kind: 'changed'; readonly streamVersion: number }
  >;
  watchRound: Call<Round, { readonly kind: 'closed'; readonly state: 'closed' | 'abandoned' }>;
  followDevices: Call<Rollout, { readonly kind: 'returned'; readonly told: number; readonly outstanding: number }>;
}
/** The command that records a result, be it good or bad; null where the subject has moved on meanwhile. */
export interface Computed {
  readonly submit: Submission | null;
}
/** Queue compute. */
export interface ComputeActivities {
  aggregateRound: Call<Round, Computed>;
  evaluateRound: Call<Round, Computed>;
  buildVersion: Call<Publication, Computed>;
}
export type Activities = MainActivities & TellActivities & WatchActivities & ComputeActivities;
