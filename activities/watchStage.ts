/** Looks at the health of a stage again and again, and says what changed. Looks never enter a workflow's history. */
import { durationMs } from '../domain/duration.ts';
import { judgeId } from '../domain/events/commandIds.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { pollEvery } from './heartbeats.ts';
import { lookAt } from './rolloutStanding.ts';
import { submitAs } from './submitCommand.ts';

interface Changed {
  readonly kind: 'changed';
  readonly streamVersion: number;
}
interface Watch {
  readonly rolloutId: number;
  /** What the workflow has seen. */
  readonly streamVersion: number;
}

/**
 * Returns when the rollout has changed since the workflow saw it, or when a look changed the verdict. The change itself is
 * submitted from here, a conviction together with its rollback, so that neither waits for a workflow task. A paused rollout is
 * watched too: it may still be convicted.
 *
 * @param process actor of what is appended: the workflow, which therefore is not rung
 */
export function watchStage(deps: ActivityDeps, process: string, { rolloutId, streamVersion }: Watch): Promise<Changed> {
  const stream = rolloutStream(rolloutId);
  let everyMs = 60_000;
  return pollEvery(
    () => everyMs,
    async () => {
      const { folded, now } = await foldStream(deps.commands.log, stream, 'rollout_not_found');
      if (folded.version > streamVersion || !isLive(folded.state)) {
        return { kind: 'changed', streamVersion: folded.version };
      }
      everyMs = durationMs(folded.context.spec?.look ?? '60s');
      return look(deps, process, rolloutId, folded, now);
    },
  );
}

async function look(
  deps: ActivityDeps,
  process: string,
  rolloutId: number,
  rollout: RolloutState,
  now: number,
): Promise<Changed | undefined> {
  const { stage, epoch, judged, regressed } = rollout.context;
  if (regressed) return undefined; // it latches: nothing is left to say
  const judgement = lookAt(rollout, await deps.telemetry.readCounters(rolloutId, stage), now);
  if (!judgement || judgement.verdict === (judged?.verdict ?? 'PENDING')) return undefined;
  const stream = rolloutStream(rolloutId);
  const result = await submitAs(deps, process, {
    commandId: judgeId(rolloutId, epoch, stage, judgement.look),
    expect: { stream, version: rollout.version },
    command: { kind: 'judgeRollout', rolloutId, judgement },
  });
  const { outcome, events, why } = result;
  if (outcome === 'refused') deps.logger.error({ rolloutId, judgement, why }, 'a judgement was refused');
  if (outcome !== 'appended') return undefined; // the next look sees what is there
  const last = events.findLast((e) => e.stream === stream);
  return { kind: 'changed', streamVersion: last?.version ?? rollout.version };
}
