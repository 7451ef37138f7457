/**
 * Pure. Names of the states in which a thing of ours can be. The charts are held to these lists where they are wrapped
 * (`machines/`): a state that stands in one place only does not compile.
 */

/** The state of a stream that holds no fact. */
export const NONE = 'None';
export type None = typeof NONE;

export const MODEL_STATES = ['Registered'] as const;
export type ModelStateName = (typeof MODEL_STATES)[number];

/** Dotted, as the chart nests them. */
export const VERSION_STATES = [
  'Draft',
  'Training',
  'Trained.ready',
  'Trained.publishing',
  'Published',
  'Deployed.rolling',
  'Deployed.live',
  'Deployed.standby',
  'Rollback',
] as const;
export type VersionStateName = (typeof VERSION_STATES)[number];

/** The product's words: the first part of a version's state. */
export const LIFECYCLE_STATES = ['Draft', 'Training', 'Trained', 'Published', 'Deployed', 'Rollback'] as const;
export type LifecycleState = (typeof LIFECYCLE_STATES)[number];

export const ROLLOUT_STATES = ['Pending', 'Active', 'Held', 'Paused', 'Completed', 'RolledBack', 'Aborted'] as const;
export type RolloutStateName = (typeof ROLLOUT_STATES)[number];

/** Regions of a parallel state are joined with `+`. */
export const TRAINING_STATES = [
  'Running.control.active+round.between',
  'Running.control.active+round.collecting',
  'Running.control.active+round.closed',
  'Running.control.paused+round.between',
  'Running.control.paused+round.collecting',
  'Running.control.paused+round.closed',
  'Ending',
  'Succeeded',
  'Aborted',
] as const;
export type TrainingStateName = (typeof TRAINING_STATES)[number];

/** Words for where a training run stands. */
export const RUN_STATUSES = ['active', 'paused', 'ending', 'succeeded', 'aborted'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Words for where the rounds of a run stand. */
export const ROUND_STATES = ['between', 'collecting', 'closed', 'over'] as const;
export type RoundState = (typeof ROUND_STATES)[number];

/** Of a stream, whatever its kind. */
export const STREAM_STATES = [
  NONE,
  ...MODEL_STATES,
  ...VERSION_STATES,
  ...ROLLOUT_STATES,
  ...TRAINING_STATES.filter((name) => name !== 'Aborted'), // a rollout has that one too
] as const;
export type StreamState = (typeof STREAM_STATES)[number] | 'Aborted';
