/** Long work as the Lifecycle API shows it: its state is a fold of facts, so any process answers the same. */
import type { ModelId, Semver } from '../../../domain/brands.ts';
import { ERRORS, LifecycleError, type ErrorCode } from '../../../domain/errors.ts';
import { parseProcess, publishProcess, trainingProcess } from '../../../domain/events/processes.ts';
import type { StoredEventOf } from '../../../domain/events/envelope.ts';
import { versionStream } from '../../../domain/events/streams.ts';
import { exists, type Existing } from '../../../machines/fold.ts';
import type { TrainingState } from '../../../machines/trainingRun.ts';
import { OWN_PREFIX, problemOf } from '../../http/problem.ts';
import type { View } from '../../reading.ts';
import type { Problem } from '../../../wire/common.ts';
import type { Operation } from '../../../wire/operation.ts';
import { trainingView } from './training.ts';
import { rolloutStatus } from '../../rolloutStatus.ts';

/** Undefined where there is no such process. */
export async function operationView(view: View, id: string, base: string): Promise<Operation | undefined> {
  const process = parseProcess(id);
  switch (process?.kind) {
    case 'training': {
      const { state } = await view.training(process.runId);
      return !exists(state) ? undefined : trainingOperation(view, process.runId, state, base);
    }
    case 'publish': {
      const stream = versionStream(process.modelId, process.version);
      return publishOperation(view, process, await view.facts(stream), base);
    }
    case 'rollout':
    case 'rollback':
      return rolloutOperation(view, id, process.kind, process.rolloutId);
    default:
      return undefined;
  }
}

async function trainingOperation(
  view: View,
  runId: string,
  folded: Existing<TrainingState>,
  base: string,
): Promise<Operation> {
  const id = trainingProcess(runId);
  const run = trainingView(runId, folded, 0);
  const version = `${OWN_PREFIX}/models/${run.model_id}/versions/${run.version}`;
  const { ended } = run;
  const common = {
    id,
    kind: 'training' as const,
    progress: {
      done: run.rounds_done,
      total: run.rounds_planned,
      unit: 'rounds',
      message: `round ${run.round} of ${run.rounds_planned}, ${run.status}`,
    },
    links: { self: `${OWN_PREFIX}/operations/${id}`, training: `${OWN_PREFIX}/training/${runId}`, version },
    position: view.position,
  };
  if (!ended) return { ...common, state: 'running', result: null, error: null };
  if (ended.kind === 'succeeded') {
    const { training } = (await view.version(run.model_id, run.version)).state.context;
    const result = {
      run_id: runId,
      new_version: run.version,
      status: run.status,
      rounds: run.rounds_done,
      participants: training?.participants ?? null,
      loss: training?.loss ?? null,
      accuracy: training?.accuracy ?? null,
      stop: folded.context.stopped?.rule ?? null,
    };
    return { ...common, state: 'succeeded', result, error: null };
  }
  const isCancelled = ended.reason !== 'no_round';
  const detail = `The run was aborted: ${ended.reason ?? 'no reason was given'}.`;
  return {
    ...common,
    state: isCancelled ? 'cancelled' : 'failed',
    result: null,
    error: fault('guard_refused', detail, base, common.links.self),
  };
}

function publishOperation(
  view: View,
  process: { modelId: ModelId; version: Semver; n: number },
  events: readonly StoredEventOf<'version'>[],
  base: string,
): Operation | undefined {
  const id = publishProcess(process.modelId, process.version, process.n);
  const facts = events.map(({ fact }) => fact).filter((f) => 'n' in f.data && f.data.n === process.n);
  const requested = facts.find((f) => f.type === 'PublishRequested');
  if (!requested) return undefined;
  const total = requested.data.formats.length;
  const self = `${OWN_PREFIX}/operations/${id}`;
  const common = {
    id,
    kind: 'publish' as const,
    links: { self, version: `${OWN_PREFIX}/models/${process.modelId}/versions/${process.version}` },
    position: view.position,
  };
  const progress = (done: number, message: string) => ({ done, total, unit: 'formats', message });
  const published = facts.find((f) => f.type === 'VersionPublished');
  if (published) {
    const { files, tensors_sha, report_sha } = published.data;
    const result = { version: process.version, files, tensors_sha, report_sha };
    return { ...common, state: 'succeeded', progress: progress(total, 'published'), result, error: null };
  }
  const refused = facts.find((f) => f.type === 'PublishRefused');
  if (!refused) {
    return { ...common, state: 'running', progress: progress(0, 'converting and checking'), result: null, error: null };
  }
  const failed = refused.data.checks.filter((c) => !c.passed);
  const why = refused.data.reason ?? failed.map((c) => `${c.name}: ${c.detail}`).join('; ');
  const isCancelled = refused.data.code === 'cancelled';
  const what = isCancelled ? 'Publishing was ended by a person' : 'Publishing was refused';
  const refusal = fault(refused.data.code, `${what}${why ? `: ${why}` : ''}.`, base, self);
  const error: Problem = { ...refusal, checks: refused.data.checks };
  return {
    ...common,
    state: isCancelled ? 'cancelled' : 'failed',
    progress: progress(0, isCancelled ? 'cancelled' : 'refused'),
    result: null,
    error,
  };
}

async function rolloutOperation(
  view: View,
  id: string,
  kind: 'rollout' | 'rollback',
  rolloutId: number,
): Promise<Operation | undefined> {
  const { state } = await view.rollout(rolloutId);
  const { context } = state;
  const begun = kind === 'rollout' ? context.startedAt !== null : context.rolledBack !== null;
  if (!begun || !exists(state)) return undefined;
  const status = rolloutStatus(state.state);
  const total = context.spec?.stages.length ?? 0;
  const isOver =
    kind === 'rollout' ? ['completed', 'rolled_back', 'aborted'].includes(status) : context.rootCauses.length > 0;
  const succeeded = kind === 'rollback' || status === 'completed';
  return {
    id,
    kind,
    state: !isOver ? 'running' : succeeded ? 'succeeded' : 'cancelled',
    progress: { done: Math.max(0, context.stage), total, unit: 'stages', message: status },
    result: isOver ? { rollout_id: rolloutId, status } : null,
    error: null,
    links: { self: `${OWN_PREFIX}/operations/${id}`, rollout: `${OWN_PREFIX}/rollouts/${rolloutId}` },
    position: view.position,
  };
}

const isCode = (code: string): code is ErrorCode => code in ERRORS;

/** A problem body for work that failed after its request was answered. */
function fault(code: string, detail: string, base: string, instance: string) {
  const error = new LifecycleError(isCode(code) ? code : 'gate_failed', detail);
  return problemOf(error, { base, instance, requestId: '' });
}
