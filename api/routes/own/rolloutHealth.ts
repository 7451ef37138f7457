/** `/rollouts/{id}/health` and `/post-mortem`: what devices showed, and the story of how it ended. */
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import type { ArmCounters } from '../../../domain/events/rollout.ts';
import { latencyQuantile } from '../../../domain/rollout/latency.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { existingRollout, viewOf } from '../../reading.ts';
import { AsOfQuery, closed } from '../../schemas/common.ts';
import { RolloutHealth, type ArmHealth } from '../../schemas/rollout.ts';
import { RolloutParams } from './params.ts';

const tags = ['rollouts'];

export function rolloutHealthRoutes(app: App, deps: ApiDeps): void {
  app.get('/rollouts/:rollout/health', {
    config: { scope: 'rollouts:read' },
    schema: {
      tags,
      params: RolloutParams,
      querystring: Type.Object(AsOfQuery, closed),
      response: { 200: RolloutHealth },
    },
    handler: async (request, reply) => {
      if (request.query.as_of !== undefined) {
        const detail = 'Counters are not kept over time; what was judged is in the rollout and its events.';
        throw new LifecycleError('as_of_not_supported', detail);
      }
      const { rollout: id } = request.params;
      const { context } = await existingRollout(await viewOf(deps.log, reply), request, id);
      const stage = Math.max(0, context.stage);
      const totals = await deps.telemetry.readCounters(id, stage);
      const platforms = await deps.telemetry.readCountersByPlatform(id, stage);
      return {
        rollout_id: id,
        stage: context.stage,
        canary: armHealth(totals.canary),
        control: armHealth(totals.control),
        by_platform: Object.fromEntries(
          Object.entries(platforms).map(([platform, arms]) => [
            platform,
            { canary: armHealth(arms.canary), control: armHealth(arms.control) },
          ]),
        ),
        judged: context.judged,
        note: 'counters are not kept over time' as const,
      };
    },
  });
}

const ratio = (part: number, whole: number) => (whole === 0 ? null : part / whole);

function armHealth(counters: ArmCounters): ArmHealth {
  const p95 = latencyQuantile(counters.latency, 95);
  return {
    ...counters,
    error_rate: ratio(counters.errors, counters.predictions),
    download_failure_rate: ratio(counters.download_failures, counters.downloads),
    latency_p95_ms: p95 === undefined ? null : p95 / 1_000,
  };
}
