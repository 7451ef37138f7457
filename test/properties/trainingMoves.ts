/** Training, as use cases append it: a request, then each step that its workflow would take. Pure. */
import type { TrainingSpec } from '../../domain/events/training.ts';
import { versionStream } from '../../domain/events/streams.ts';
import { trainingSpec } from '../../domain/learning/trainingSpec.fixture.ts';
import { currentBase } from '../../machines/trainingRun.ts';
import { shaOf, type Part, type World } from './world.ts';

const specOf = (modelId: string, version: string, base: string | null): TrainingSpec => ({
  ...trainingSpec,
  model_id: modelId,
  base_version: base,
  init_artifact: base === null ? shaOf('weights') : null,
  new_version: version,
  rounds: 2,
  min_updates: 1,
  goal: 2,
  seed: shaOf('seed'),
});

/** Each but `draft` answers whether it was legal. */
export function trainingIn({ runs, clock, model, version, run, onVersion, onRun, append }: World) {
  function train(id: string, v: string, a: number): boolean {
    const runId = `run-${runs.length}`;
    const spec = specOf(id, v, a % 2 === 0 ? model(id).context.stable : null);
    const base = { version: spec.base_version, sha: shaOf('weights') };
    const isNew = append([
      onRun(runId, {
        type: 'request',
        data: { source: 'own', spec, spec_sha: shaOf('spec'), request_sha: shaOf(runId), base },
      }),
      ...(version(id, v).state === 'None' ? draft(id, v) : []),
      [
        versionStream(id, v),
        {
          kind: 'facts',
          facts: [{ type: 'TrainingStarted', data: { run_id: runId, base_version: spec.base_version } }],
        },
      ],
    ]);
    if (isNew) runs.push(runId);
    return isNew;
  }
  const draft = (id: string, v: string): Part[] => [
    onVersion(id, v, { type: 'draft', data: { model_id: id, version: v, parent: null, contract_digest: null } }),
  ];

  /** The next step of a run, as its workflow would take it. */
  function trainOn(runId: string, a: number): boolean {
    const { context, state: at } = run(runId);
    const { current } = context;
    const round = context.rounds.length + 1;
    const instant = new Date(clock.now).toISOString();
    if (at.includes('round.collecting') && current) {
      const data = { round: current.round, attempt: current.attempt };
      if (a % 5 === 0) {
        return append([
          onRun(runId, { type: 'abandonRound', data: { ...data, reason: 'quorum_miss', counted: 0, needed: 1 } }),
        ]);
      }
      return append([
        onRun(runId, {
          type: 'closeRound',
          data: {
            ...data,
            cause: 'goal',
            accepted: 2,
            counted: 2,
            weight_sum: 20,
            participants: 2,
            accepted_root: shaOf('accepted'),
            refused: { late: 1 },
            leased: 3,
            aborted: 0,
            bytes_up: 100,
          },
        }),
      ]);
    }
    if (at.includes('round.closed') && current) {
      return append([
        onRun(runId, {
          type: 'recordAggregate',
          data: {
            round: current.round,
            attempt: current.attempt,
            manifest_sha: shaOf('manifest'),
            model_sha: shaOf(`model ${runId} ${current.round}`),
            model_bytes: 10,
            opt_state_sha: null,
            grid: { k: 1, L: 1, q: 28 },
            update_norm: 0.5,
            samples: 20,
            metrics: { loss: 0.25, accuracy: null, n: 2 },
          },
        }),
      ]);
    }
    if (context.rounds.length >= 2 || (a % 7 === 0 && context.rounds.length > 0)) {
      const { modelId: id, v } = { modelId: context.spec?.model_id ?? '', v: context.spec?.new_version ?? '' };
      const last = context.rounds.at(-1);
      return append([
        onRun(runId, context.rounds.length >= 2 ? { type: 'finish' } : { type: 'stop', rule: 'manual', counted: 0 }),
        ...(context.rounds.length >= 2 && last
          ? [
              onVersion(id, v, {
                type: 'completeTraining',
                data: {
                  run_id: runId,
                  base: context.base,
                  spec_sha: context.specSha,
                  rounds_planned: 2,
                  rounds: context.rounds.length,
                  rounds_abandoned: context.abandoned,
                  participants: 4,
                  updates: 4,
                  refused: {},
                  samples: 40,
                  bytes_up: 200,
                  loss: 0.25,
                  accuracy: null,
                  first: { loss: 0.5, accuracy: null },
                  best_round: null,
                  selected_round: last.round,
                  stop: { rule: 'rounds', numbers: { rounds: 2 } },
                  converged: null,
                  chain: [{ round: 1, accepted_root: shaOf('accepted'), model_sha: shaOf('model') }],
                  artifact_sha: last.aggregated.model_sha,
                  artifact_bytes: 10,
                },
              }),
            ]
          : []),
      ]);
    }
    return append([
      onRun(runId, {
        type: 'openRound',
        data: {
          round,
          attempt: context.attempts + 1,
          base_sha: currentBase(context),
          base_label: 'base',
          opt_state_sha: null,
          goal: 2,
          min_updates: 1,
          need: 2,
          draw: { threshold: 100, population: 10 },
          opened_at: instant,
          deadline: instant,
          hard_deadline: instant,
          max_norm: null,
          limit: 1,
        },
      }),
    ]);
  }

  return { draft, train, trainOn };
}
