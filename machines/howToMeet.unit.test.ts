/**
 * What a refusal tells people to do is legal where they are told it: every command that a `how_to_meet` names is not refused by the
 * state itself. Over every state and command, with everything else in the command's way.
 */
import { describe, expect, it } from 'vitest';
import type { Guard } from '../domain/errors.ts';
import { cellOf } from './decisions.fixture.ts';
import type { Decision } from './decision.ts';
import {
  aggregated,
  given,
  judgement,
  MODEL,
  NOW,
  onnxFile,
  requested,
  rollout as r,
  rolloutSpec,
  roundClosed,
  roundOpened,
  RUN,
  sha,
  training as t,
  version as v,
} from './facts.fixture.ts';
import { versionMachine } from './modelVersion.ts';
import { decideVersion, type VersionCommand } from './versionDecision.ts';
import { LIVE_STATES, rolloutMachine } from './rollout.ts';
import { decideRollout, type RolloutCommand } from './rolloutDecision.ts';
import { decideTraining, type TrainingCommand } from './trainingDecision.ts';
import { trainingMachine } from './trainingRun.ts';

type Facts = Parameters<typeof given>[1];
const inRollout = (...facts: Facts) => given(rolloutMachine, facts);
const inVersion = (...facts: Facts) => given(versionMachine, facts);
const inRun = (...facts: Facts) => given(trainingMachine, facts);

const hold = rolloutSpec([10, 100], 'hold');
const once = rolloutSpec([100]);
const begun = (spec = rolloutSpec([10, 100])) => [r.created(spec), r.started, r.entered(0)];
const inconclusive = { type: 'RolloutPaused', data: { cause: 'inconclusive', reason: 'too few' } } as const;
const rollouts = {
  None: inRollout(),
  Pending: inRollout(r.created()),
  'Pending, pre-release': inRollout(r.created({ ...once, version: '1.1.0-rc.1' })),
  Active: inRollout(...begun()),
  'Active, last stage': inRollout(...begun(), r.entered(1)),
  'Active, once': inRollout(...begun(once)),
  'Active, to 50 %': inRollout(...begun(rolloutSpec([50]))),
  'Active, to a cohort': inRollout(...begun({ ...once, cohort: { platform: ['ios'] } })),
  'Active, inconclusive': inRollout(...begun(once), r.judged('INCONCLUSIVE')),
  Held: inRollout(...begun(hold), r.judged('REGRESSED')),
  Paused: inRollout(...begun(), r.paused),
  'Paused, inconclusive': inRollout(...begun(), inconclusive),
  'Paused, held before': inRollout(...begun(hold), r.judged('REGRESSED'), r.paused),
  'Paused, regressed': inRollout(...begun(hold), r.paused, r.judged('REGRESSED')),
  Completed: inRollout(...begun(once), r.completed),
  RolledBack: inRollout(...begun(), r.rolledBack),
  Aborted: inRollout(...begun(), r.aborted),
};

const published = [v.drafted, v.trainingStarted, v.trainingCompleted, v.publishRequested, v.published];
const live = [...published, v.deploymentStarted, v.deploymentCompleted];
const versions = {
  None: inVersion(),
  Draft: inVersion(v.drafted),
  Training: inVersion(v.drafted, v.trainingStarted),
  'Trained.ready': inVersion(v.drafted, v.trainingStarted, v.trainingCompleted),
  'Trained.ready, without tensors': inVersion(v.drafted, { type: 'ArtifactUploaded', data: { files: [onnxFile] } }),
  'Trained.publishing': inVersion(v.drafted, v.trainingStarted, v.trainingCompleted, v.publishRequested),
  Published: inVersion(...published),
  'Deployed.rolling': inVersion(...published, v.deploymentStarted),
  'Deployed.live': inVersion(...live),
  'Deployed.standby': inVersion(...live, v.superseded),
  Rollback: inVersion(...live, v.rolledBack),
};

const one = [t.opened(), t.closed(), t.aggregated()];
const runs = {
  None: inRun(),
  first: inRun(t.requested),
  between: inRun(t.requested, ...one),
  collecting: inRun(t.requested, ...one, t.opened(2)),
  closed: inRun(t.requested, ...one, t.opened(2), t.closed(2)),
  over: inRun(t.requested, ...one, t.opened(2), t.closed(2), t.aggregated(2)),
  paused: inRun(t.requested, ...one, t.paused),
  Ending: inRun(t.requested, ...one, t.stopped),
  Succeeded: inRun(t.requested, ...one, t.stopped, t.succeeded),
  Aborted: inRun(t.requested, t.aborted),
};

const manual = { type: 'rollback', target: '1.0.0', trigger: 'manual', reason: 'no', evidence: null } as const;
const created = r.created({ ...once, version: '1.1.0-rc.1' }) as Extract<
  ReturnType<typeof r.created>,
  { type: 'RolloutCreated' }
>;
/** A rollout of a version that does not exist is an error of its own. */
const versionStates = [...new Set(Object.values(versions).map((s) => s.state))].filter((s) => s !== 'None');
const rolloutCommands: readonly RolloutCommand[] = [
  ...versionStates.map((versionState) => ({
    ...{ type: 'create' as const, data: { ...created.data, model_id: MODEL }, versionState },
  })),
  ...versionStates.flatMap((versionState) =>
    [null, 41].map((otherLive) => ({ type: 'start' as const, rolloutId: 42, versionState, otherLive })),
  ),
  { type: 'pause', cause: 'manual', reason: 'lunch' },
  { type: 'resume' },
  { type: 'enterStage', stage: 7 },
  { type: 'enterStage', stage: 1 },
  { type: 'advance', override: false },
  { type: 'advance', override: true },
  { type: 'judge', judgement: judgement('HEALTHY', { stage: 7, look: 9 }) },
  { type: 'complete', basis: 'auto', override: false },
  { type: 'complete', basis: 'manual', override: true },
  { type: 'abort', reason: 'no', isStable: false },
  { ...manual, isStable: false },
  { ...manual, isStable: true, target: null, noTarget: '1.0.0 was rolled back, and never returns' },
  { type: 'recordRootCause', text: 'a layer' },
];
const versionCommands: readonly VersionCommand[] = [
  { type: 'draft', data: { ...v.drafted.data, parent: '0.9.0' } },
  { type: 'completeTraining', data: { ...v.trainingCompleted.data, run_id: `${RUN.slice(0, -1)}9` } },
  { type: 'failTraining', data: { run_id: `${RUN.slice(0, -1)}9`, reason: 'x' } },
  { type: 'uploadArtifact', data: { files: [{ ...onnxFile, format: 'safetensors', sha256: sha('9') }] } },
  { type: 'requestPublish', formats: ['onnx'] },
  { type: 'refusePublish', data: { n: 9, code: 'gate_failed', checks: [] } },
  { type: 'publish', data: { ...v.published.data, n: 9 } },
];
const runCommands: readonly TrainingCommand[] = [
  { type: 'openRound', data: { ...roundOpened(9, 9), base_sha: sha('9') } },
  { type: 'openRound', data: roundOpened(3) },
  { type: 'closeRound', data: roundClosed(2, 1, 0) },
  { type: 'recordAggregate', data: aggregated(2) },
  { type: 'pause', data: { reason: 'night', by: 'key_1' } },
  { type: 'resume', data: { reason: null, by: 'key_1' } },
  { type: 'stop', rule: 'manual', counted: 0 },
  { type: 'abort', reason: 'no', counted: 0 },
  { type: 'finish' },
];

/** Words of a text that name a command of people, and that command. */
const WORDS = {
  rollout: {
    pause: { type: 'pause', cause: 'manual', reason: 'r' },
    resume: { type: 'resume' },
    advance: { type: 'advance', override: true, reason: 'r' },
    complete: { type: 'complete', basis: 'manual', override: true, reason: 'r' },
    abort: { type: 'abort', reason: 'r', isStable: true },
    'roll back': { ...manual, isStable: true },
    start: { type: 'start', rolloutId: 42, versionState: 'Published', otherLive: null },
  } satisfies Record<string, RolloutCommand>,
  version: {
    publish: { type: 'requestPublish', formats: ['onnx'] },
    attach: { type: 'uploadArtifact', data: { files: [onnxFile] } },
    train: { type: 'startTraining', data: v.trainingStarted.data },
  } satisfies Record<string, VersionCommand>,
  run: {
    pause: { type: 'pause', data: { reason: 'r', by: 'k' } },
    resume: { type: 'resume', data: { reason: null, by: 'k' } },
    stop: { type: 'stop', rule: 'manual', counted: 0 },
    abort: { type: 'abort', reason: 'r', counted: 0 },
    finish: { type: 'finish' },
    request: { type: 'request', data: requested },
  } satisfies Record<string, TrainingCommand>,
};

const namedIn = <C>(text: string, words: Readonly<Record<string, C>>): C[] =>
  Object.entries(words).flatMap(([word, command]) => (new RegExp(`\\b${word}\\b`).test(text) ? [command] : []));
const unmetOf = (decision: Decision<{ type: string; data: unknown }>): readonly Guard[] =>
  decision.kind === 'refused' ? decision.refusal.guards.filter((g) => !g.met) : [];
const isRefusedByState = (decision: Decision<{ type: string; data: unknown }>) =>
  cellOf(decision).split(' ').includes('state');

describe('a how_to_meet names nothing that the state refuses', () => {
  let told = 0;

  it.each(Object.entries(rollouts))('to a rollout that is %s', (_, state) => {
    for (const command of rolloutCommands) {
      for (const { name, how_to_meet: text } of unmetOf(decideRollout(state, command, NOW - 1_600_000))) {
        if (name === 'state' || text === '') continue;
        told += 1;
        // Another rollout may stand in any of its live states; else it is this one.
        const other = /rollout \d+/.test(text);
        const states = other ? LIVE_STATES.map((s) => rollouts[s]) : [state];
        for (const at of states)
          for (const next of namedIn(text, WORDS.rollout))
            expect([text, isRefusedByState(decideRollout(at, next, NOW))]).toEqual([text, false]);
        if (name !== 'published' || !('versionState' in command)) continue;
        const of = Object.values(versions).find((s) => s.state === command.versionState)!;
        const [next] = namedIn(text.split(', then')[0]!, WORDS.version);
        if (next) expect([text, isRefusedByState(decideVersion(of, next, NOW))]).toEqual([text, false]);
      }
    }
  });

  it.each(Object.entries(versions))('to a version that is %s', (_, state) => {
    for (const command of versionCommands) {
      for (const { name, how_to_meet: text } of unmetOf(decideVersion(state, command, NOW))) {
        if (name === 'state' || text === '') continue;
        told += 1;
        for (const next of namedIn(text, WORDS.version))
          expect([text, isRefusedByState(decideVersion(state, next, NOW))]).toEqual([text, false]);
      }
    }
  });

  it.each(Object.entries(runs))('to a run that is %s', (_, state) => {
    for (const command of runCommands) {
      for (const { name, how_to_meet: text } of unmetOf(decideTraining(state, command, NOW))) {
        if (name === 'state' || text === '') continue;
        told += 1;
        for (const next of namedIn(text, WORDS.run))
          expect([text, isRefusedByState(decideTraining(state, next, NOW))]).toEqual([text, false]);
      }
    }
  });

  it('and the table is wide enough to say so', () => expect(told).toBeGreaterThan(60));
});
