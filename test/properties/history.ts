/**
 * Random histories of legal commands only: each move asks the machines as a use case would, and what they refuse is left out.
 * Pure: a list of numbers becomes a list of appends, the same one every time.
 */
import { asLogIndex, asStreamVersion } from '../../domain/brands.ts';
import { durationMs } from '../../domain/duration.ts';
import { currentSchemaVersion } from '../../domain/events/codec.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { Verdict } from '../../domain/events/rollout.ts';
import { isUsable, type VersionState } from '../../machines/modelVersion.ts';
import { machineFor } from '../../machines/registry.ts';
import { releasesIn } from './releases.ts';
import { trainingIn } from './trainingMoves.ts';
import { createWorld, shaOf, START, type HistoryAppend } from './world.ts';

const MODELS = ['m-0', 'm-1'];
const VERSIONS = ['1.0.0', '1.1.0', '1.1.1', '1.2.0', '1.2.1', '2.0.0', '2.1.0', '2.1.1', '3.0.0', '3.0.1-rc.1'];
const ALL = VERSIONS.flatMap((v) => MODELS.map((id) => ({ id, v })));
/** Facts are a minute apart, so that bakes of seconds are over at the next move. */
const STEP_MS = 60_000;

/** Kinds by how often they are drawn: what opens the way for others comes often. */
const KINDS = [
  0, 0, 1, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 7, 7, 7, 7, 7, 8, 9, 9, 9, 10, 10, 10, 10, 11, 12, 12, 13, 13, 14, 15,
];

/** @param moves numbers from 0; each becomes one append or nothing */
export function historyOf(moves: readonly number[]): HistoryAppend[] {
  const world = createWorld();
  const { appends, runs, rollouts, clock, model, version, run, rollout } = world;
  const { onModel, onVersion, onRun, onRollout, append } = world;
  const { endRollout, complete, judgement, start, create, publish } = releasesIn(world);
  const { draft, train, trainOn } = trainingIn(world);

  /** One of those for which the move may be legal, or undefined. */
  const pick = <T>(all: readonly T[], a: number, fits: (one: T) => boolean): T | undefined => {
    const fitting = all.filter(fits);
    return fitting[a % Math.max(1, fitting.length)];
  };
  const pickVersion = (a: number, fits: (state: VersionState['state']) => boolean) =>
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
          description: `text ${a}`,
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

  for (const drawn of moves) {
    clock.now += STEP_MS + durationMs('1s');
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
        version: asStreamVersion(version),
        fact,
        schemaVersion: currentSchemaVersion(stream, fact.type),
        machine: machineFor(stream).name,
        actor: { kind: 'system', id: 'test' },
        commandId,
        commandSeq: i + 1,
        correlationId: null,
        causationId: null,
        recordedAt: at,
        logIndex: asLogIndex(events.length),
        sequencedAt: at,
      });
    });
  });
  return events;
}
