/** `/rollouts/{id}/health` and `/post-mortem`: what devices showed, and the story of how it ended. */
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { LifecycleError } from '../../../domain/errors.ts';
import { modelStream, rolloutStream } from '../../../domain/events/streams.ts';
import type { ArmCounters } from '../../../domain/events/rollout.ts';
import { latencyQuantile } from '../../../domain/rollout/latency.ts';
import { postMortem, TOLD_OF_MODEL } from '../../../domain/rollout/postMortem.ts';
import { renderMarkdown } from '../../../domain/rollout/postMortemText.ts';
import { countedWithin } from '../../../store/within.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { existingRollout, viewOf } from '../../reading.ts';
import { AsOfQuery, closed } from '../../../wire/common.ts';
import { PostMortem } from '../../../wire/postMortem.ts';
import { RolloutHealth, type ArmHealth } from '../../../wire/rollout.ts';
import { RolloutParams } from './params.ts';

const tags = ['rollouts'];

export function rolloutHealthRoutes(app: App, deps: ApiDeps): void {
  postMortemRoute(app, deps);
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
      const { context } = await existingRollout(await viewOf(deps, request, reply), id);
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

/** A draft does not wait longer for a count of the fleet. */
const COUNT_MS = 2_000;

function postMortemRoute(app: App, deps: ApiDeps): void {
  app.get('/rollouts/:rollout/post-mortem', {
    config: { scope: 'rollouts:read' },
    schema: {
      tags,
      description: 'A draft from the log and the counters: JSON, or Markdown for `Accept: text/markdown`.',
      params: RolloutParams,
      response: {
        200: {
          description: 'The draft',
          content: { 'application/json': { schema: PostMortem }, 'text/markdown': { schema: Type.String() } },
        },
      },
    },
    handler: async (request, reply) => {
      const { rollout: rolloutId } = request.params;
      const view = await viewOf(deps, request, reply);
      const { context } = await existingRollout(view, rolloutId);
      const counted = await countedWithin(COUNT_MS, deps.telemetry.devicesStillOn(rolloutId));
      const draft = postMortem({
        rolloutId,
        events: await view.facts(rolloutStream(rolloutId)),
        modelEvents: await view.facts(modelStream(context.modelId), { types: TOLD_OF_MODEL }),
        leaves: await deps.telemetry.readLeaves(rolloutId),
        devices: counted && { told: counted.told, outstanding: counted.outstanding },
      });
      const answer: FastifyReply = reply; // the typed one knows JSON only
      const wantsText = (request.headers.accept ?? '').includes('text/markdown');
      return wantsText
        ? answer.type('text/markdown; charset=utf-8').send(renderMarkdown(draft))
        : answer.type('application/json').send(draft);
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
