/**
 * Random histories of legal commands only: each move asks the machines as a use case would, and what they refuse is left out.
 * Pure: a list of numbers becomes a list of appends, the same one every time.
 * Long: every command of every machine has its move here.
 */
import { durationMs } from '../../domain/duration.ts';
import { currentSchemaVersion } from '../../domain/events/codec.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { ArmCounters, Judgement, Verdict } from '../../domain/events/rollout.ts';
import {
  modelStream,
  rolloutStream,
  trainingStream,
  versionStream,
  type AnyFact,
} from '../../domain/events/streams.ts';
import type { TrainingSpec } from '../../domain/events/training.ts';
import { sha256Hex } from '../../domain/hash/sha256.ts';
import type { Decision } from '../../machines/decision.ts';
import type { Folded } from '../../machines/fold.ts';
import { decideModel, type ModelContext } from '../../machines/model.ts';
import { decideVersion, isUsable, type VersionContext } from '../../machines/modelVersion.ts';
import { machineFor } from '../../machines/registry.ts';
import { isLive, type RolloutContext } from '../../machines/rollout.ts';
import { decideRollout } from '../../machines/rolloutDecision.ts';
import { currentBase, type TrainingContext } from '../../machines/trainingRun.ts';
import { decideTraining } from '../../machines/trainingDecision.ts';

export interface HistoryAppend {
  readonly commandId: string;
  readonly facts: readonly { readonly stream: string; readonly fact: AnyFact }[];
}

const MODELS = ['m-0', 'm-1'];
const VERSIONS = ['1.0.0', '1.1.0', '1.1.1', '1.2.0', '1.2.1', '2.0.0', '2.1.0', '2.1.1', '3.0.0', '3.0.1-rc.1'];
const ALL = VERSIONS.flatMap((v) => MODELS.map((id) => ({ id, v })));
const START = Date.UTC(2026, 0, 1);
/** Facts are a minute apart, so that bakes of seconds are over at the next move. */
const STEP_MS = 60_000;

const shaOf = (text: string) => sha256Hex(new TextEncoder().encode(text));
const arm: ArmCounters = {
  devices: 9,
  predictions: 90,
  errors: 3,
  downloads: 9,
  download_failures: 0,
  latency: { '7': 90 },
};

const specOf = (modelId: string, version: string, base: string | null): TrainingSpec => ({
  model_id: modelId,
  base_version: base,
  init_artifact: base === null ? shaOf('weights') : null,
  new_version: version,
  rounds: 2,
  min_updates: 1,
  goal: 2,
  seed: shaOf('seed'),
  selection: { strategy: 'open', dropout: 0 },
  windows: { selection: '1m', report: '1m', extend: '1m' },
  on_quorum_miss: { retry: 2, backoff: ['1s', '1m'] },
  client: { epochs: 1, batch_size: 8, lr: 0.1, proximal_mu: 0 },
  aggregation: { rule: 'fedavg', weight: 'samples', weight_cap: 100 },
  server_optimizer: { name: 'sgd', lr: 1 },
  admission: { max_norm: null, max_samples: 1000, zero_samples: 'reject', per_device: 1 },
  metrics: [],
  retention: { updates: '7d' },
  publish: false,
  evaluation: null,
});

type Part = readonly [stream: string, decision: Decision<AnyFact>];

/** @param moves numbers from 0; each becomes one append or nothing */
export function historyOf(moves: readonly number[]): HistoryAppend[] {
  const states = new Map<string, Folded<unknown>>();
  const appends: HistoryAppend[] = [];
  const runs: string[] = [];
  const rollouts: number[] = [];
  let now = START;

  // Safe: the kind in the stream's name chose the machine, and the machine fixes the context type.
  const state = <C>(stream: string) => (states.get(stream) ?? machineFor(stream).initial()) as Folded<C>;
  const model = (id: string) => state<ModelContext>(modelStream(id));
  const version = (id: string, v: string) => state<VersionContext>(versionStream(id, v));
  const run = (id: string) => state<TrainingContext>(trainingStream(id));
  const rollout = (id: number) => state<RolloutContext>(rolloutStream(id));
  const onModel = (id: string, command: Parameters<typeof decideModel>[1]): Part => [
    modelStream(id),
    decideModel(model(id), command, now),
  ];
  const onVersion = (id: string, v: string, command: Parameters<typeof decideVersion>[1]): Part => [
    versionStream(id, v),
    decideVersion(version(id, v), command, now),
  ];
  const onRun = (id: string, command: Parameters<typeof decideTraining>[1]): Part => [
    trainingStream(id),
    decideTraining(run(id), command, now),
  ];
  const onRollout = (id: number, command: Parameters<typeof decideRollout>[1]): Part => [
    rolloutStream(id),
    decideRollout(rollout(id), command, now),
  ];

  function append(parts: readonly Part[]): boolean {
    if (parts.some(([, decision]) => decision.kind === 'refused')) return false;
    const facts = parts.flatMap(([stream, decision]) =>
      decision.kind === 'facts' ? decision.facts.map((fact) => ({ stream, fact })) : [],
    );
    if (facts.length === 0) return false;
    for (const { stream, fact } of facts) {
      const before = state(stream);
      const event = { type: fact.type, data: fact.data, at: now, eventId: '', version: before.version + 1 };
      states.set(stream, machineFor(stream).step(before, event));
    }
    appends.push({ commandId: `command-${appends.length}`, facts });
    return true;
  }

  /** Facts that put `target` back in the place of `leaving`. */
  function restore(id: string, target: string, leaving: string, rolloutId: number): Part[] {
    const parts = [
      onModel(id, { type: 'restoreStable', version: target, fromVersion: leaving, rolloutId, reason: 'back' }),
    ];
    const { state: now_ } = version(id, target);
    if (now_ !== 'Deployed.live' && now_ !== 'Deployed.rolling')
      parts.push(onVersion(id, target, { type: 'restore', rolloutId }));
    const { stable } = model(id).context;
    if (stable !== null && stable !== target && stable !== leaving && version(id, stable).state === 'Deployed.live') {
      parts.push(onVersion(id, stable, { type: 'supersede', by: target, rolloutId }));
    }
    return parts;
  }
  const targetOf = (id: string, leaving: string) =>
    model(id)
      .context.stableHistory.filter((v) => v !== leaving)
      .toReversed()
      .find((v) => isUsable(version(id, v).state));

  function endRollout(rolloutId: number, how: 'rollback' | 'abort'): boolean {
    const { state: was, context } = rollout(rolloutId);
    const { modelId: id, version: v } = context;
    const isStable = model(id).context.stable === v;
    const had = model(id).context.stableHistory.some((h) => h !== v);
    const target = targetOf(id, v);
    if (how === 'rollback') {
      const noTarget = had && target === undefined ? { noTarget: 'none is usable' } : {};
      return append([
        onRollout(rolloutId, {
          type: 'rollback',
          target: target ?? null,
          ...noTarget,
          trigger: 'manual',
          reason: 'bad \0 news \ud800',
          evidence: null,
          isStable,
        }),
        onVersion(id, v, { type: 'rollBack', rolloutId, reason: 'bad' }),
        ...(target === undefined ? [] : restore(id, target, v, rolloutId)),
      ]);
    }
    const parts = [onRollout(rolloutId, { type: 'abort', reason: 'not now', isStable })];
    if (was === 'Pending') return append(parts);
    const back = was === 'Completed' ? target : undefined;
    const by = back ?? (was === 'Completed' || isStable ? null : model(id).context.stable);
    parts.push(onVersion(id, v, { type: 'supersede', by, rolloutId }));
    if (back !== undefined) parts.push(...restore(id, back, v, rolloutId));
    return append(parts);
  }

  function complete(rolloutId: number): boolean {
    const { context } = rollout(rolloutId);
    const { modelId: id, version: v } = context;
    const { stable } = model(id).context;
    return append([
      onRollout(rolloutId, { type: 'complete', basis: 'manual', override: true, reason: 'sure' }),
      onVersion(id, v, { type: 'completeDeployment', rolloutId }),
      onModel(id, { type: 'changeStable', version: v, rolloutId }),
      ...(stable !== null && stable !== v && version(id, stable).state === 'Deployed.live'
        ? [onVersion(id, stable, { type: 'supersede', by: v, rolloutId })]
        : []),
    ]);
  }

  const judgement = (rolloutId: number, verdict: Verdict): Judgement => ({
    stage: Math.max(0, rollout(rolloutId).context.stage),
    look: rollout(rolloutId).context.looks + 1,
    verdict,
    algorithm: 'thresholds@1',
    rule: null,
    missing: [],
    counters: { canary: arm, control: arm },
    clock_ms: 1,
    policy_sha: shaOf('policy'),
  });

  function start(rolloutId: number): boolean {
    const { modelId: id, version: v } = rollout(rolloutId).context;
    const live = rollouts.find((r) => r !== rolloutId && rollout(r).context.modelId === id && isLive(rollout(r).state));
    return append([
      onRollout(rolloutId, { type: 'start', rolloutId, versionState: version(id, v).state, otherLive: live ?? null }),
      onVersion(id, v, { type: 'startDeployment', rolloutId }),
    ]);
  }

  function create(id: string, v: string, a: number): boolean {
    const stage = (percent: number) => ({ percent, ramp: '2s', min_bake: '1s', max_bake: '10m' });
    const spec = {
      version: v,
      stages: a % 2 === 0 ? [stage(10), stage(100)] : [stage(100)],
      ...(a % 11 === 0 ? { cohort: { platform: ['ios'] } } : {}),
      look: '1s',
      policy: { rules: [] },
      on_regressed: a % 3 === 0 ? ('hold' as const) : ('rollback' as const),
    };
    const rolloutId = rollouts.length + 1;
    const data = { model_id: id, version: v, previous: model(id).context.stable, spec, spec_sha: shaOf('spec') };
    const isNew = append([onRollout(rolloutId, { type: 'create', data, versionState: version(id, v).state })]);
    if (isNew) rollouts.push(rolloutId);
    return isNew;
  }

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
    const instant = new Date(now).toISOString();
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

  function publish(id: string, v: string, a: number): boolean {
    const { state: at, context } = version(id, v);
    if (at !== 'Trained.publishing') return append([onVersion(id, v, { type: 'requestPublish', formats: ['onnx'] })]);
    const n = context.publications;
    if (a % 9 === 0) {
      return append([onVersion(id, v, { type: 'refusePublish', data: { n, code: 'gate_failed', checks: [] } })]);
    }
    const files = [{ format: 'onnx', sha256: shaOf(`${id} ${v}`), bytes: 10, media_type: 'application/octet-stream' }];
    const data = { n, files, tensors_sha: shaOf('tensors'), report_sha: shaOf('report') };
    return append([onVersion(id, v, { type: 'publish', data }), onModel(id, { type: 'listVersion', version: v })]);
  }

  /** One of those for which the move may be legal, or undefined. */
  const pick = <T>(all: readonly T[], a: number, fits: (one: T) => boolean): T | undefined => {
    const fitting = all.filter(fits);
    return fitting[a % Math.max(1, fitting.length)];
  };
  const pickVersion = (a: number, fits: (state: string) => boolean) =>
    pick(ALL, a, ({ id, v }) => model(id).state === 'Registered' && fits(version(id, v).state));
  const pickRollout = (a: number, ...states: string[]) => pick(rollouts, a, (r) => states.includes(rollout(r).state));

  /** @param a draws among the choices of one kind of move */
  function move(kind: number, a: number): boolean {
    const id = MODELS[a % MODELS.length]!;
    const runId = pick(runs, a, (r) => run(r).context.ended === null);
    const live = pickRollout(a, 'Active', 'Held', 'Paused');
    switch (kind) {
      case 0: {
        const data = {
          org_id: 'org_local',
          name: id,
          framework: 'onnx',
          use_case: 'test',
          description: `text \0 ${a}`,
        };
        return append([onModel(id, { type: 'register', data })]);
      }
      case 1:
        if (model(id).state !== 'Registered') return false;
        return append([
          onModel(id, {
            type: 'declareContract',
            data: { contract: { b: [1, 2.5, null], a: 'x' }, digest: shaOf(`c${a % 3}`) },
          }),
        ]);
      case 2: {
        const at = pickVersion(a, (state_) => state_ === 'None' || state_ === 'Draft');
        return at !== undefined && train(at.id, at.v, a);
      }
      case 3:
        return runId !== undefined && trainOn(runId, a);
      case 4: {
        const at = pickVersion(a, (state_) => state_ === 'None' || state_ === 'Draft' || state_ === 'Trained.ready');
        if (!at) return false;
        const files = [{ format: 'safetensors', sha256: shaOf(`up ${at.id} ${at.v}`), bytes: 9, media_type: 'x/y' }];
        if (version(at.id, at.v).state === 'None') append(draft(at.id, at.v));
        return append([onVersion(at.id, at.v, { type: 'uploadArtifact', data: { files } })]);
      }
      case 5: {
        const at = pickVersion(a, (state_) => state_.startsWith('Trained'));
        return at !== undefined && publish(at.id, at.v, a);
      }
      case 6: {
        const at = pickVersion(a, isUsable);
        return at !== undefined && create(at.id, at.v, a);
      }
      case 7: {
        const rolloutId = pickRollout(a, 'Pending');
        return rolloutId !== undefined && start(rolloutId);
      }
      case 8: {
        if (live === undefined) return false;
        const verdicts: Verdict[] = ['PENDING', 'HEALTHY', 'REGRESSED', 'INCONCLUSIVE', 'HEALTHY'];
        const verdict = verdicts[a % verdicts.length]!;
        return append([onRollout(live, { type: 'judge', judgement: judgement(live, verdict) })]);
      }
      case 9:
        return live !== undefined && append([onRollout(live, { type: 'advance', override: true, reason: 'now' })]);
      case 10:
        return live !== undefined && complete(live);
      case 11:
        if (live === undefined) return false;
        return append([
          onRollout(live, { type: 'pause', cause: a % 2 === 0 ? 'inconclusive' : 'manual', reason: 'wait' }),
        ]);
      case 12: {
        const rolloutId = pickRollout(a, 'Paused');
        return rolloutId !== undefined && append([onRollout(rolloutId, { type: 'resume' })]);
      }
      case 13: {
        const rolloutId = pickRollout(a, 'Pending', 'Active', 'Held', 'Paused', 'Completed');
        return rolloutId !== undefined && endRollout(rolloutId, a % 3 === 0 ? 'abort' : 'rollback');
      }
      case 14: {
        const rolloutId = pickRollout(a, 'RolledBack', 'Aborted');
        return (
          rolloutId !== undefined && append([onRollout(rolloutId, { type: 'recordRootCause', text: `because ${a}` })])
        );
      }
      case 15:
        if (runId === undefined) return false;
        return append([
          onRun(
            runId,
            a % 2 === 0
              ? { type: 'pause', data: { reason: 'wait', by: 'me' } }
              : { type: 'resume', data: { reason: null, by: 'me' } },
          ),
        ]);
      default:
        return false;
    }
  }

  /** Kinds by how often they are drawn: what opens the way for others comes often. */
  const KINDS = [
    0, 0, 1, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 7, 7, 7, 7, 7, 8, 9, 9, 9, 10, 10, 10, 10, 11, 12, 12, 13, 13, 14,
    15,
  ];
  for (const drawn of moves) {
    now += STEP_MS + durationMs('1s');
    move(KINDS[drawn % KINDS.length]!, Math.floor(drawn / KINDS.length));
  }
  return appends;
}

/** The same appends as a log of their own would give them: times, indexes and ids are functions of the place. */
export function sequence(appends: readonly HistoryAppend[]): SequencedEvent[] {
  const versions = new Map<string, number>();
  const events: SequencedEvent[] = [];
  appends.forEach(({ commandId, facts }, place) => {
    const at = new Date(START + place * STEP_MS).toISOString();
    facts.forEach(({ stream, fact }, i) => {
      const version = (versions.get(stream) ?? 0) + 1;
      versions.set(stream, version);
      events.push({
        id: `00000000-0000-7000-8000-${String(events.length).padStart(12, '0')}`,
        stream,
        version,
        fact,
        schemaVersion: currentSchemaVersion(stream, fact.type),
        machine: machineFor(stream).name,
        actor: { kind: 'system', id: 'test' },
        commandId,
        commandSeq: i + 1,
        correlationId: null,
        causationId: null,
        recordedAt: at,
        logIndex: events.length,
        sequencedAt: at,
      });
    });
  });
  return events;
}
