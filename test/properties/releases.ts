/** The commands of a release, as use cases append them: publish, create, start, complete, roll back, abort. Pure. */
import type { ArmCounters, Judgement, Verdict } from '../../domain/events/rollout.ts';
import { durationMs } from '../../domain/duration.ts';
import { judge } from '../../domain/rollout/thresholds.ts';
import { mayReturn, versionsToReturnTo } from '../../machines/wayBack.ts';
import { isLive } from '../../machines/rollout.ts';
import { shaOf, type Part, type World } from './world.ts';

const arm: ArmCounters = {
  devices: 9,
  predictions: 90,
  errors: 3,
  downloads: 9,
  download_failures: 0,
  latency: { '7': 90 },
};

/** Each but `judgement` answers whether it was legal. */
export function releasesIn({ rollouts, model, version, rollout, onModel, onVersion, onRollout, append }: World) {
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
  const targetOf = (id: string, leaving: string, isCompleted: boolean) =>
    versionsToReturnTo(model(id).context, leaving, isCompleted).find((v) =>
      mayReturn(version(id, v), v === model(id).context.stable),
    );

  function endRollout(rolloutId: number, how: 'rollback' | 'abort'): boolean {
    const { state: was, context } = rollout(rolloutId);
    const { modelId: id, version: v } = context;
    const isStable = model(id).context.stable === v;
    const target = targetOf(id, v, was === 'Completed');
    const withdrawn = (): Part[] =>
      target === undefined && isStable
        ? [onModel(id, { type: 'restoreStable', version: null, fromVersion: v, rolloutId, reason: 'bad' })]
        : [];
    if (how === 'rollback') {
      return append([
        onRollout(rolloutId, {
          type: 'rollback',
          target: target ?? null,
          trigger: 'manual',
          reason: 'bad news',
          evidence: null,
          isStable,
        }),
        onVersion(id, v, { type: 'rollBack', rolloutId, reason: 'bad' }),
        ...(target === undefined ? withdrawn() : restore(id, target, v, rolloutId)),
      ]);
    }
    const parts = [onRollout(rolloutId, { type: 'abort', reason: 'not now', isStable })];
    if (was === 'Pending') return append(parts);
    const back = was === 'Completed' ? target : undefined;
    const by = back ?? (was === 'Completed' || isStable ? null : model(id).context.stable);
    parts.push(onVersion(id, v, { type: 'supersede', by, rolloutId }));
    if (back !== undefined) parts.push(...restore(id, back, v, rolloutId));
    else if (was === 'Completed') parts.push(...withdrawn());
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

  /** Honest: an auditor who judges its counters again comes to `verdict`. */
  function judgement(rolloutId: number, verdict: Verdict): Judgement {
    const { spec, stage, looks, setAside } = rollout(rolloutId).context;
    const at = Math.max(0, stage);
    const { ramp, min_bake, max_bake } = spec?.stages[at] ?? { ramp: '0s', min_bake: '0s', max_bake: '0s' };
    const [rampMs, minBakeMs, maxBakeMs] = [durationMs(ramp), durationMs(min_bake), durationMs(max_bake)];
    const arms: Readonly<Record<Verdict, ArmCounters>> = {
      PENDING: arm,
      HEALTHY: arm,
      REGRESSED: { ...arm, errors: 80 },
      INCONCLUSIVE: { ...arm, devices: 1 },
    };
    const clocks = { PENDING: 1, HEALTHY: rampMs + minBakeMs, REGRESSED: 1, INCONCLUSIVE: rampMs + maxBakeMs };
    return judge({
      spec: spec!,
      stage: at,
      look: looks + 1,
      counters: { canary: arms[verdict], control: arm },
      setAside,
      clockMs: clocks[verdict],
      rampMs,
      minBakeMs,
      maxBakeMs,
    });
  }

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
      policy: {
        rules: [{ metric: 'error_rate' as const, op: '>' as const, value: 0.5, min_predictions: 20, min_devices: 5 }],
      },
      on_regressed: a % 3 === 0 ? ('hold' as const) : ('rollback' as const),
    };
    const rolloutId = rollouts.length + 1;
    const data = { model_id: id, version: v, previous: model(id).context.stable, spec, spec_sha: shaOf('spec') };
    const isNew = append([onRollout(rolloutId, { type: 'create', data, versionState: version(id, v).state })]);
    if (isNew) rollouts.push(rolloutId);
    return isNew;
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

  return { endRollout, complete, judgement, start, create, publish };
}
