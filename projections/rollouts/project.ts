/** Pure. `rollouts`: how far each one is and why it moved or stopped; what was judged goes to its own insert-only table. */
import { tagged } from '../../domain/events/codec.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { HealthJudgement, RolloutFact } from '../../domain/events/rollout.ts';
import { parseStream, versionStream } from '../../domain/events/streams.ts';
import { nextHold, setsAside } from '../../domain/rollout/holding.ts';
import { silenceAfterMs } from '../../domain/rollout/policies.ts';
import {
  NOT_RUNNING,
  readClock,
  resumeClock,
  startClock,
  stopClock,
  writeClock,
} from '../../domain/rollout/stageClock.ts';
import { learnOrg, modelOrgs, needOrg, needsOfLearning, orgOfModel, subjectAmong } from '../modelOrgs.ts';
import { add, need, put, type Change, type Projection, type Rows } from '../table.ts';
import { judgements, rolloutRows, type RolloutRow } from './schema.ts';

type Created = Extract<RolloutFact, { type: 'RolloutCreated' }>['data'];

/** The stage clock stands from `at`: it runs only while the rollout is Active. */
const clockStopped = (row: RolloutRow, at: string) => writeClock(stopClock(readClock(row), Date.parse(at)));

const created = (rolloutId: number, orgId: string, data: Created, at: string): RolloutRow => ({
  rollout_id: rolloutId,
  org_id: orgId,
  model_id: data.model_id,
  version: data.version,
  version_stream: versionStream(data.model_id, data.version),
  previous_version: data.previous,
  state: 'Pending',
  spec: data.spec,
  spec_sha: data.spec_sha,
  seed: null,
  lo: 0,
  stage: -1,
  entered: null,
  entered_at: null,
  ...writeClock(NOT_RUNNING),
  hold: null,
  is_regressed: false,
  paused: null,
  aborted: null,
  rolled_back: null,
  created_at: at,
  started_at: null,
  completed_at: null,
  updated_at: at,
  stream_version: 1,
});

/** The stage clock runs again from `at`. */
const clockOn = (row: RolloutRow, at: string, isSetAside: boolean) =>
  writeClock(
    resumeClock(readClock(row), Date.parse(at), {
      cause: row.paused?.cause ?? null,
      rampMs: row.entered?.ramp_ms ?? 0,
      silenceAfterMs: silenceAfterMs(row.spec),
      setsAside: isSetAside,
    }),
  );

/** A judgement moves the row only where it convicts, holds, or lets go on: the rest is in `judgements`. */
function judged(row: RolloutRow, judgement: HealthJudgement, at: string): Partial<RolloutRow> | undefined {
  const convicts = judgement.verdict === 'REGRESSED';
  const hold = nextHold({ ...row, on_regressed: row.spec.on_regressed }, judgement);
  const isRegressed = convicts ? { is_regressed: true } : {};
  if (row.state === 'Active' && hold !== null) return { ...isRegressed, hold, state: 'Held', ...clockStopped(row, at) };
  if (row.state === 'Held' && hold === null)
    return { ...isRegressed, hold, state: 'Active', ...clockOn(row, at, false) };
  if (row.state !== 'Active' && hold !== row.hold) return { ...isRegressed, hold };
  return convicts ? isRegressed : undefined;
}

/** The members that a fact changes, or undefined where the row stays as it is. */
function members(row: RolloutRow, fact: RolloutFact, at: string): Partial<RolloutRow> | undefined {
  switch (fact.type) {
    case 'RolloutCreated':
      return {};
    case 'RolloutStarted':
      return { state: 'Active', seed: fact.data.seed, lo: fact.data.lo, started_at: at };
    case 'StageEntered':
      return {
        state: 'Active',
        hold: null,
        stage: fact.data.stage,
        entered: fact.data,
        entered_at: at,
        ...writeClock(startClock(Date.parse(at))),
      };
    case 'HealthJudged':
      return judged(row, fact.data, at);
    case 'RolloutPaused':
      return {
        ...clockStopped(row, at),
        state: 'Paused',
        paused: { cause: fact.data.cause, reason: fact.data.reason, at },
      };
    case 'RolloutResumed':
      return { state: 'Active', paused: null, hold: null, ...clockOn(row, at, setsAside(row.hold)) };
    case 'RolloutCompleted':
      return { ...clockStopped(row, at), state: 'Completed', completed_at: at };
    case 'RolloutAborted':
      return { ...clockStopped(row, at), state: 'Aborted', aborted: { reason: fact.data.reason, at } };
    case 'RolloutRolledBack': {
      const { target, trigger, reason } = fact.data;
      return { ...clockStopped(row, at), state: 'RolledBack', rolled_back: { target, trigger, reason, at } };
    }
    case 'RootCauseRecorded':
      return {};
    default:
      return fact satisfies never;
  }
}

const begun = (rows: Rows, rolloutId: number, data: Created, at: string) =>
  created(rolloutId, orgOfModel(rows, data.model_id), data, at);

function project(event: SequencedEvent, rows: Rows): Change[] {
  const of = tagged(event);
  if (of?.kind !== 'rollout') return learnOrg(event);
  const { rolloutId, fact } = of;
  const at = event.recordedAt;
  const before = rows.get(rolloutRows, rolloutId);
  const row = before ?? (fact.type === 'RolloutCreated' ? begun(rows, rolloutId, fact.data, at) : undefined);
  if (!row) throw new Error(`rollout ${rolloutId} was never created`);
  const changes: Change[] = [];
  const changed = members(row, fact, at);
  if (changed) changes.push(put(rolloutRows, { ...row, ...changed, updated_at: at, stream_version: event.version }));
  if (fact.type === 'HealthJudged') {
    const { stage, look, verdict } = fact.data;
    changes.push(
      add(judgements, {
        rollout_id: rolloutId,
        stage,
        look,
        verdict,
        judgement: fact.data,
        stream_version: event.version,
        at,
      }),
    );
  }
  return changes;
}

export const rollouts: Projection = {
  name: 'rollouts',
  version: 6,
  tables: [rolloutRows, judgements, modelOrgs],
  needs(event) {
    const stream = parseStream(event.stream);
    if (stream?.kind !== 'rollout') return needsOfLearning(event);
    const row = need(rolloutRows, stream.rolloutId);
    return event.fact.type === 'RolloutCreated' ? [row, needOrg(event.fact.data.model_id)] : [row];
  },
  project,
  subjectOf: (about) => subjectAmong('rollout', about),
};
