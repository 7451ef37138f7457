/** Looks at the health of a stage again and again, and says what changed. Looks never enter a workflow's history. */
import { durationMs } from '../domain/duration.ts';
import { judgeId } from '../domain/events/commandIds.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import type { HealthJudgement } from '../domain/events/rollout.ts';
import { saysMore } from '../domain/rollout/consequence.ts';
import { evidencePolicy, silenceAfterMs } from '../domain/rollout/policies.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { lookEvery } from './heartbeats.ts';
import { lookAt, lookAtWindows } from './rolloutStanding.ts';
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
  /** Good looks owed, since looks that say nothing new are not recorded. A new watch owes what the last judgement does. */
  let owed: number | undefined;
  return lookEvery(
    () => everyMs,
    async () => {
      const { folded, now } = await foldStream(deps.commands.log, stream, 'rollout_not_found');
      if (folded.version > streamVersion || !isLive(folded.state)) {
        return { kind: 'changed', streamVersion: folded.version };
      }
      everyMs = durationMs(folded.context.spec?.look ?? '60s');
      if (folded.context.regressed) return undefined; // it latches: nothing is left to say
      const looked = await look(deps, rolloutId, folded, owed ?? folded.context.goodLooksOwed, now);
      owed = looked?.owed;
      return looked && record(deps, process, rolloutId, folded, looked.judgement);
    },
  );
}

interface Looked {
  readonly judgement: HealthJudgement;
  readonly owed: number;
}

/** By the windows or by the totals of the stage, as its spec says; undefined before the first stage. */
async function look(
  deps: ActivityDeps,
  rolloutId: number,
  rollout: RolloutState,
  owed: number,
  now: number,
): Promise<Looked | undefined> {
  const { spec, stage, clock, entered } = rollout.context;
  if (!spec || !entered) return undefined;
  if (!evidencePolicy(spec)) {
    const judgement = lookAt(rollout, await deps.telemetry.readCounters(rolloutId, stage), now);
    return judgement && { judgement, owed: 0 };
  }
  const of = { rolloutId, stage, evidenceStage: clock.evidenceStage };
  await deps.evidence.sweep({ ...of, clock, silenceAfterMs: silenceAfterMs(spec) ?? 0 }, now);
  const reading = await deps.evidence.readStage({
    ...of,
    clockMs: clockMs(clock, now),
    segments: entered.evidence?.segments ?? [],
  });
  return lookAtWindows(rollout, reading, owed, now);
}

/** Submits a judgement that says something new. */
async function record(
  deps: ActivityDeps,
  process: string,
  rolloutId: number,
  rollout: RolloutState,
  judgement: HealthJudgement,
): Promise<Changed | undefined> {
  const { stage, epoch, judged, proven } = rollout.context;
  if (!saysMore(judged, proven, judgement)) return undefined;
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
