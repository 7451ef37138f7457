/**
 * Pure, and free of any library: relay, worker and workflows share it. One row per process: its id, its queue, and the facts
 * that start it, signal it and end it. The log says which processes are open; Temporal only waits for them.
 */
import type { ModelId, Semver } from '../brands.ts';
import { parseStream } from './streams.ts';

export type ProcessKind = 'training' | 'publish' | 'rollout' | 'rollback';

export interface ProcessRow {
  readonly workflow: 'trainModel' | 'publishVersion' | 'rolloutVersion' | 'rollbackVersion';
  readonly starts: readonly string[];
  readonly signals: readonly string[];
  readonly ends: readonly string[];
}

export const PROCESSES: Readonly<Record<ProcessKind, ProcessRow>> = {
  training: {
    workflow: 'trainModel',
    starts: ['TrainingRequested'],
    signals: ['RoundClosed', 'TrainingPaused', 'TrainingResumed', 'TrainingStopped', 'TrainingAborted'],
    ends: ['TrainingSucceeded', 'TrainingAborted'],
  },
  publish: {
    workflow: 'publishVersion',
    starts: ['PublishRequested'],
    signals: [],
    ends: ['VersionPublished', 'PublishRefused'],
  },
  rollout: {
    workflow: 'rolloutVersion',
    starts: ['RolloutStarted'],
    signals: [
      'StageEntered',
      'RolloutPaused',
      'RolloutResumed',
      'RolloutCompleted',
      'RolloutAborted',
      'RolloutRolledBack',
      'HealthJudged',
    ],
    ends: ['RolloutCompleted', 'RolloutAborted', 'RolloutRolledBack'],
  },
  rollback: {
    workflow: 'rollbackVersion',
    starts: ['RolloutRolledBack'],
    signals: ['RootCauseRecorded'],
    ends: ['RootCauseRecorded'],
  },
};

export const trainingProcess = (runId: string) => `training:${runId}`;
export const publishProcess = (modelId: ModelId, version: Semver, n: number) => `publish:${modelId}@${version}:${n}`;
export const rolloutProcess = (rolloutId: number) => `rollout:${rolloutId}`;
export const rollbackProcess = (rolloutId: number) => `rollback:${rolloutId}`;

export type ParsedProcess =
  | { kind: 'training'; runId: string }
  | { kind: 'publish'; modelId: ModelId; version: Semver; n: number }
  | { kind: 'rollout' | 'rollback'; rolloutId: number };

/** Parts of a process id; undefined where it is none of ours. */
export function parseProcess(id: string): ParsedProcess | undefined {
  const publish = /^publish:([^@]+)@(.+):(\d+)$/.exec(id);
  if (publish) return { kind: 'publish', modelId: publish[1]!, version: publish[2]!, n: Number(publish[3]) };
  const other = /^(training|rollout|rollback):(.+)$/.exec(id);
  if (!other) return undefined;
  if (other[1] === 'training') return { kind: 'training', runId: other[2]! };
  return /^[1-9]\d*$/.test(other[2]!)
    ? { kind: other[1] as 'rollout' | 'rollback', rolloutId: Number(other[2]) }
    : undefined;
}

export interface ProcessTouch {
  readonly id: string;
  readonly kind: ProcessKind;
  readonly starts: boolean;
  readonly signals: boolean;
  readonly ends: boolean;
}

/** What one fact means to each process: it may start one and end another (RolloutRolledBack does). */
export function processesTouched(
  stream: string,
  type: string,
  data: Readonly<Record<string, unknown>>,
): ProcessTouch[] {
  const parsed = parseStream(stream);
  if (!parsed || parsed.kind === 'model') return [];
  const candidates: [ProcessKind, string][] = [];
  if (parsed.kind === 'training') candidates.push(['training', trainingProcess(parsed.runId)]);
  if (parsed.kind === 'version' && typeof data['n'] === 'number') {
    candidates.push(['publish', publishProcess(parsed.modelId, parsed.version, data['n'])]);
  }
  if (parsed.kind === 'rollout') {
    candidates.push(['rollout', rolloutProcess(parsed.rolloutId)], ['rollback', rollbackProcess(parsed.rolloutId)]);
  }
  return candidates
    .map(([kind, id]) => ({
      id,
      kind,
      starts: PROCESSES[kind].starts.includes(type),
      signals: PROCESSES[kind].signals.includes(type),
      ends: PROCESSES[kind].ends.includes(type),
    }))
    .filter((t) => t.starts || t.signals || t.ends);
}

/** Default task queue of workflows and short activities. Tests bring their own name; the others derive from it. */
export const MAIN_QUEUE = 'edgeml-main';
/** Queues derived from the workflow's own, so that a test's queue brings its whole set. */
export const watchQueue = (main: string) => `${main}-watch`;
export const computeQueue = (main: string) => `${main}-compute`;

/** The payload of the Temporal signal: which fact to look for. */
export interface FactSignal {
  readonly v: 1;
  readonly stream: string;
  readonly streamVersion: number;
  readonly type: string;
  readonly eventId: string;
  readonly logIndex: number;
}
