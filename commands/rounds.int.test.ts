/** Training on a real log: tasks, uploads, rounds, endings. Long: they share the way to an open round. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roundStepId } from '../domain/events/commandIds.ts';
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { acceptedRoot } from '../domain/learning/index.ts';
import { aggregated, evaluated } from '../machines/facts.fixture.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { trainingMachine } from '../machines/trainingRun.ts';
import { abandonRound } from './abandonRound.ts';
import { abortTask } from './abortTask.ts';
import { abortTraining } from './abortTraining.ts';
import { admitUpdate, type AdmitUpdate, type UpdateBody, type UpdateOutcome } from './admitUpdate.ts';
import { closeRound } from './closeRound.ts';
import {
  bodyOf,
  facts,
  GRAPH,
  heldOut,
  lease,
  newModel,
  openCommands,
  openRun,
  ORG,
  person,
  publish,
  spec,
  stopper,
  store,
  unmet,
  updateFor,
  weights,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { createAndStart } from './createAndStart.ts';
import { finishTraining } from './finishTraining.ts';
import { checkTask } from './heldTask.ts';
import { leaseTask } from './leaseTask.ts';
import { openRound } from './openRound.ts';
import { pauseTraining } from './pauseTraining.ts';
import { recordAggregate } from './recordAggregate.ts';
import { recordEvaluation } from './recordEvaluation.ts';
import { requestTraining } from './requestTraining.ts';
import { resumeTraining } from './resumeTraining.ts';
import { rollBack } from './rollBack.ts';
import { stopTraining } from './stopTraining.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

/** Windows so short that the deadline is over at once, and the round stays open for long after it. */
const overdue = { windows: { selection: '1s', report: '1ms', extend: '1h' } };
const runOf = async (runId: string) => trainingMachine.fold(await c.log.readStream(trainingStream(runId)));
const typesOf = async (runId: string) => (await c.log.readStream(trainingStream(runId))).map((e) => e.fact.type);
const roundOf = (runId: string, attempt = 1, round = 1) => c.deps.rounds.round(`${runId}.${round}.${attempt}`);
const versionOf = async (modelId: string) =>
  versionMachine.fold(await c.log.readStream(versionStream(modelId, '1.0.0')));
const devices = (n: number) => Array.from({ length: n }, (_, i) => `device-${i}`);
const leaseAll = (runId: string, n: number) => Promise.all(devices(n).map((d) => lease(c.deps, runId, d)));
async function answer(runId: string, deviceId: string, value = 0.1): Promise<UpdateOutcome> {
  return admitUpdate(c.deps, updateFor(await lease(c.deps, runId, deviceId), value));
}
const closeAtDeadline = (runId: string) =>
  closeRound(c.deps, workflow(roundStepId(runId, 1, 1, 'close')), { runId, round: 1, attempt: 1, cause: 'deadline' });

/** The row, the fact and the updates of a round say the same. */
async function expectConsistent(runId: string): Promise<void> {
  const [row, run] = [await roundOf(runId), await runOf(runId)];
  const updates = await c.deps.rounds.accepted(row!.roundId);
  expect(row).toMatchObject({ accepted: updates.length, weightSum: updates.reduce((sum, u) => sum + u.weight, 0) });
  const closed = run.context.currentClosed;
  expect(row!.state).toBe(closed ? 'closed' : 'open');
  if (!closed) return;
  expect(closed).toMatchObject({
    accepted: updates.length,
    counted: updates.length,
    weight_sum: row!.weightSum,
    accepted_root: acceptedRoot(updates).root,
  });
}

describe('a task', () => {
  it('is the same at every check-in of its device, until it is given back', async () => {
    const { runId, base } = await openRun(c.deps);
    const first = await lease(c.deps, runId, 'device-1');
    expect(await lease(c.deps, runId, 'device-1')).toEqual({ ...first, round: { ...first.round, leased: 1 } });
    expect(first).toMatchObject({
      base: { sha256: base },
      upload: {
        tensors: [
          { name: 'bias', shape: [2] },
          { name: 'weight', shape: [2, 2] },
        ],
      },
      round: { roundId: `${runId}.1.1`, baseLabel: '1.0.0-round.0', goal: 3 },
    });
    const held = { taskId: first.taskId, orgId: ORG, lease: first.lease };
    await abortTask(c.deps, { ...held, phase: 'fit', reason: 'battery' });
    await abortTask(c.deps, { ...held, reason: 'battery' });
    await expect(checkTask(c.deps, held)).rejects.toMatchObject({ code: 'task_ended' });
    expect((await lease(c.deps, runId, 'device-1')).taskId).not.toBe(first.taskId);
    expect(await roundOf(runId)).toMatchObject({ leased: 2, aborted: 1 });
  });

  it('raced by one device, is one task', async () => {
    const { runId } = await openRun(c.deps);
    const raced = await Promise.all(Array.from({ length: 10 }, () => lease(c.deps, runId, 'device-1')));
    expect(new Set(raced.map((t) => t.taskId)).size).toBe(1);
    expect(await roundOf(runId)).toMatchObject({ leased: 1 });
  });

  it('is not given without a round, nor twice in one', async () => {
    const { runId } = await openRun(c.deps);
    await answer(runId, 'device-1');
    expect(await leaseTask(c.deps, { orgId: ORG, runId, deviceId: 'device-1' })).toEqual({
      task: null,
      reason: 'already_contributed',
    });
    facts(await abortTraining(c.deps, stopper(), { runId, reason: 'wrong data' }));
    expect(await leaseTask(c.deps, { orgId: ORG, runId, deviceId: 'device-2' })).toEqual({
      task: null,
      reason: 'no_round',
    });
  });

  it('is held by its lease and its device alone', async () => {
    const { runId } = await openRun(c.deps);
    const task = await lease(c.deps, runId, 'device-1');
    const update = updateFor(task);
    await expect(admitUpdate(c.deps, { ...update, lease: 'x' })).rejects.toMatchObject({ code: 'lease_invalid' });
    await expect(admitUpdate(c.deps, { ...update, deviceId: 'device-2' })).rejects.toMatchObject({
      code: 'not_your_task',
    });
    await expect(admitUpdate(c.deps, { ...update, taskId: runId })).rejects.toMatchObject({ code: 'task_unknown' });
    await expect(admitUpdate(c.deps, { ...update, taskId: 'no uuid' })).rejects.toMatchObject({ code: 'task_unknown' });
  });
});

describe('an update', () => {
  it('gets its receipt again, other bytes a conflict, a given-back task nothing', async () => {
    const { runId } = await openRun(c.deps);
    const task = await lease(c.deps, runId, 'device-1');
    const first = await admitUpdate(c.deps, updateFor(task));
    expect(first).toMatchObject({ outcome: 'accepted', receipt: { weight: 10, samples: 10 } });
    expect(await admitUpdate(c.deps, updateFor(task))).toEqual({ ...first, outcome: 'repeated' });
    expect(await admitUpdate(c.deps, updateFor(task, 0.2))).toMatchObject({
      outcome: 'refused',
      refusal: { code: 'conflict' },
    });
    await expect(
      abortTask(c.deps, { taskId: task.taskId, orgId: ORG, lease: task.lease, reason: 'late' }),
    ).rejects.toMatchObject({
      code: 'already_accepted',
    });
  });

  it('is asked for its bytes only where nothing else decides', async () => {
    const { runId } = await openRun(c.deps);
    const task = await lease(c.deps, runId, 'device-1');
    const good = updateFor(task);
    let opened = 0;
    const watched = (more: Partial<UpdateBody> = {}): UpdateBody => ({
      ...good.body,
      ...more,
      open: () => {
        opened += 1;
        return good.body.open();
      },
    });
    const say = async (more: Partial<AdmitUpdate>) => {
      const outcome = await admitUpdate(c.deps, { ...good, ...more });
      return outcome.outcome === 'refused' ? outcome.refusal.code : outcome.outcome;
    };
    expect(await say({ body: watched({ length: null }) })).toBe('length_required');
    expect(await say({ body: watched({ mediaType: 'application/json' }) })).toBe('unsupported_media_type');
    expect(await say({ body: watched({ length: 1e9 }) })).toBe('payload_too_large');
    expect(await say({ body: watched(), most: 10 })).toBe('payload_too_large');
    expect(opened).toBe(0);
    expect(await say({ body: watched({ mediaType: null }) })).toBe('accepted');
    expect(opened).toBe(1);
    // Its digest says that it is the same; without one, only its bytes do.
    expect(await say({ body: watched() })).toBe('repeated');
    expect(await say({ body: watched(), digest: '0'.repeat(64) })).toBe('conflict');
    expect(opened).toBe(1);
    expect(await say({ body: watched(), digest: null })).toBe('repeated');
    expect(opened).toBe(2);
    expect(await say({ ...updateFor(task, 0.2), digest: null })).toBe('conflict');
  });

  it('sent twice at once counts once, with one receipt', async () => {
    const { runId } = await openRun(c.deps);
    const update = updateFor(await lease(c.deps, runId, 'device-1'));
    const both = await Promise.all([admitUpdate(c.deps, update), admitUpdate(c.deps, update)]);
    expect(both.map((o) => o.outcome).sort()).toEqual(['accepted', 'repeated']);
    expect(new Set(both.map((o) => 'receipt' in o && o.receipt.acceptedAt)).size).toBe(1);
    await expectConsistent(runId);
  });

  it('that the gate refuses ends its task and is counted; a broken transfer does not end it', async () => {
    const { runId } = await openRun(c.deps);
    const task = await lease(c.deps, runId, 'device-1');
    const good = updateFor(task);
    expect(await admitUpdate(c.deps, { ...good, digest: '0'.repeat(64) })).toMatchObject({
      refusal: { code: 'checksum_mismatch' },
    });
    const bad = updateFor(task, Number.NaN);
    expect(await admitUpdate(c.deps, bad)).toMatchObject({
      outcome: 'refused',
      refusal: { code: 'non_finite', more: { tensor: 'bias' } },
    });
    expect(await admitUpdate(c.deps, good)).toMatchObject({ refusal: { code: 'task_ended' } });
    expect(await c.deps.rounds.refused(`${runId}.1.1`)).toEqual({ checksum_mismatch: 1, non_finite: 1 });
    expect(await answer(runId, 'device-1')).toMatchObject({ outcome: 'accepted' });
  });

  it('of another round or base is refused with its own code', async () => {
    const { runId } = await openRun(c.deps);
    const refusalOf = async (change: { base?: string; round?: string; samples?: number; name?: string }) => {
      const task = await lease(c.deps, runId, 'device-1');
      const { base = task.round.baseSha, round = task.round.roundId, samples = 5, name = 'bias' } = change;
      const deltas = [f32Tensor(name, [2], new Float32Array(2)), f32Tensor('weight', [2, 2], new Float32Array(4))];
      const bytes = encodeUpdate({ base, round, task: task.taskId, samples, metrics: {}, deltas });
      const outcome = await admitUpdate(c.deps, { ...task, orgId: ORG, body: bodyOf(bytes), digest: null });
      return outcome.outcome === 'refused' ? outcome.refusal.code : outcome.outcome;
    };
    expect(await refusalOf({ base: 'f'.repeat(64) })).toBe('wrong_base');
    expect(await refusalOf({ round: `${runId}.1.2` })).toBe('metadata_mismatch');
    expect(await refusalOf({ samples: 0 })).toBe('samples_out_of_range');
    expect(await refusalOf({ name: 'c' })).toBe('unknown_tensor');
    const task = await lease(c.deps, runId, 'device-1');
    expect(
      await admitUpdate(c.deps, { ...task, orgId: ORG, body: bodyOf(Buffer.alloc(200_000)), digest: null }),
    ).toMatchObject({ refusal: { code: 'payload_too_large' } });
    expect(
      await admitUpdate(c.deps, { ...task, orgId: ORG, body: bodyOf(Buffer.from('pickle')), digest: null }),
    ).toMatchObject({ refusal: { code: 'malformed_container' } });
  });

  it('is stored durably, under a pseudonym that only the run key links to its device', async () => {
    const { runId } = await openRun(c.deps);
    const update = updateFor(await lease(c.deps, runId, 'device-1'));
    await admitUpdate(c.deps, update);
    expect(await c.deps.blobs.stat(update.digest)).toMatchObject({ bytes: update.bytes.length });
    const [row] = await c.deps.rounds.accepted(`${runId}.1.1`);
    expect(row).toMatchObject({ updateSha: update.digest, metrics: { n: 10, loss_sum: 5, correct: 9 } });
    expect(row!.pseudonymHex).toMatch(/^[0-9a-f]{32}$/);
    expect(row!.pseudonymHex).not.toBe(createHash('sha256').update('device-1').digest('hex').slice(0, 32));
  });
});

describe('the goal', () => {
  it('closes the round in the accept that reaches it, with the root that includes it', async () => {
    const { runId } = await openRun(c.deps);
    for (const device of devices(3)) expect(await answer(runId, device)).toMatchObject({ outcome: 'accepted' });
    expect(await typesOf(runId)).toEqual(['TrainingRequested', 'RoundOpened', 'RoundClosed']);
    expect((await runOf(runId)).context.currentClosed).toMatchObject({ cause: 'goal', counted: 3, leased: 3 });
    await expectConsistent(runId);
  });

  it('raced by twelve devices, takes exactly three, closes once, and every one of them keeps its answer', async () => {
    for (let n = 0; n < 5; n += 1) {
      const { runId } = await openRun(c.deps);
      const updates = (await leaseAll(runId, 12)).map((task, i) => updateFor(task, 0.01 * (i + 1)));
      const outcomes = await Promise.all(updates.map((u) => admitUpdate(c.deps, u)));
      expect(outcomes.filter((o) => o.outcome === 'accepted')).toHaveLength(3);
      for (const late of outcomes.filter((o) => o.outcome === 'refused'))
        expect(late.refusal.code).toBe('round_closed');
      expect((await typesOf(runId)).filter((t) => t === 'RoundClosed')).toHaveLength(1);
      await expectConsistent(runId);

      const again = await Promise.all(updates.map((u) => admitUpdate(c.deps, u)));
      again.forEach((o, i) => {
        if (outcomes[i]!.outcome === 'accepted') expect(o).toEqual({ ...outcomes[i], outcome: 'repeated' });
        else expect(o).toMatchObject({ outcome: 'refused', refusal: { code: 'round_closed' } });
      });
    }
  });

  it('and the deadline, one behind the other at the lock: the first closes, the other gets its outcome', async () => {
    for (const first of ['goal', 'deadline'] as const) {
      const { runId } = await openRun(c.deps);
      const [a, b, last] = (await leaseAll(runId, 3)).map((task, i) => updateFor(task, 0.01 * (i + 1)));
      await admitUpdate(c.deps, a!);
      await admitUpdate(c.deps, b!);
      const held = await c.holdRun(runId);
      const racers = { goal: () => admitUpdate(c.deps, last!), deadline: () => closeAtDeadline(runId) };
      const winner = racers[first]();
      await held.queued(1);
      const loser = racers[first === 'goal' ? 'deadline' : 'goal']();
      await held.queued(2);
      await held.release();
      expect([(await winner).outcome, await loser]).toEqual(
        first === 'goal'
          ? ['accepted', expect.objectContaining({ outcome: 'duplicate' })]
          : [
              'appended',
              expect.objectContaining({ refusal: expect.objectContaining({ code: 'round_closed' }) as unknown }),
            ],
      );
      expect((await runOf(runId)).context.currentClosed).toMatchObject({ cause: first });
      await expectConsistent(runId);
    }
  });

  it('raced freely by the close at the deadline: one RoundClosed, and the rows agree with it', async () => {
    for (let n = 0; n < 20; n += 1) {
      const { runId } = await openRun(c.deps);
      const [a, b, last] = (await leaseAll(runId, 3)).map((task, i) => updateFor(task, 0.01 * (i + 1)));
      await admitUpdate(c.deps, a!);
      await admitUpdate(c.deps, b!);
      await Promise.all([admitUpdate(c.deps, last!), closeAtDeadline(runId)]);
      expect((await typesOf(runId)).filter((t) => t === 'RoundClosed')).toHaveLength(1);
      await expectConsistent(runId);
      expect(await closeAtDeadline(runId)).toMatchObject({ outcome: 'duplicate', events: [{ type: 'RoundClosed' }] });
    }
  });

  it('a crash between the closing fact and the rows leaves neither; the repeat closes', async () => {
    const { runId } = await openRun(c.deps);
    await answer(runId, 'device-0');
    await answer(runId, 'device-1');
    const update = updateFor(await lease(c.deps, runId, 'device-2'));
    const crash = { ...c.deps.rounds, accept: () => Promise.reject(new Error('killed')) };
    await expect(admitUpdate({ ...c.deps, rounds: crash }, update)).rejects.toThrow('killed');
    expect(await typesOf(runId)).toEqual(['TrainingRequested', 'RoundOpened']);
    await expectConsistent(runId);
    expect(await admitUpdate(c.deps, update)).toMatchObject({ outcome: 'accepted' });
    await expectConsistent(runId);
    expect(await roundOf(runId)).toMatchObject({ state: 'closed', accepted: 3 });
  });

  it('a crash after the blob leaves no row; the repeat counts once', async () => {
    const { runId } = await openRun(c.deps);
    const update = updateFor(await lease(c.deps, runId, 'device-0'));
    const crash = { ...c.deps.log, transaction: () => Promise.reject(new Error('killed')) };
    await expect(admitUpdate({ ...c.deps, log: crash }, update)).rejects.toThrow('killed');
    expect(await c.deps.blobs.stat(update.digest)).toBeDefined();
    expect(await roundOf(runId)).toMatchObject({ accepted: 0 });
    expect(await admitUpdate(c.deps, update)).toMatchObject({ outcome: 'accepted' });
    expect(await admitUpdate(c.deps, update)).toMatchObject({ outcome: 'repeated' });
    await expectConsistent(runId);
  });

  it('is reached although a pause moves the stream under the close', async () => {
    const { runId } = await openRun(c.deps);
    await answer(runId, 'device-0');
    await answer(runId, 'device-1');
    const task = await lease(c.deps, runId, 'device-2');
    let hasMoved = false;
    const log = {
      ...c.deps.log,
      load: async (...args: Parameters<typeof c.deps.log.load>) => {
        const loaded = await c.deps.log.load(...args);
        if (!hasMoved) {
          hasMoved = true;
          facts(await pauseTraining(c.deps, stopper(), { runId, reason: 'night', by: 'key_test' }));
        }
        return loaded;
      },
    };
    expect(await admitUpdate({ ...c.deps, log }, updateFor(task))).toMatchObject({ outcome: 'accepted' });
    expect(await typesOf(runId)).toEqual(['TrainingRequested', 'RoundOpened', 'TrainingPaused', 'RoundClosed']);
    await expectConsistent(runId);
  });
});

describe('the deadline', () => {
  it('closes what has its quorum, and refuses what has not', async () => {
    const { runId } = await openRun(c.deps, overdue);
    await answer(runId, 'device-0');
    expect(unmet(await closeAtDeadline(runId))).toEqual(['quorum']);
    await expectConsistent(runId);
  });

  it('late quorum: after the deadline the accept that reaches it closes the round', async () => {
    const { runId } = await openRun(c.deps, overdue);
    await answer(runId, 'device-0');
    await answer(runId, 'device-1');
    expect((await runOf(runId)).context.currentClosed).toMatchObject({ cause: 'late_quorum', counted: 2 });
    await expectConsistent(runId);
    expect((await closeAtDeadline(runId)).outcome).toBe('duplicate');
  });

  it('an abandoned round takes no more, and opens again as the next attempt on the same base', async () => {
    const { runId, base } = await openRun(c.deps, overdue);
    const task = await lease(c.deps, runId, 'device-0');
    const input = { runId, round: 1, attempt: 1, reason: 'quorum_miss' as const };
    facts(await abandonRound(c.deps, workflow(roundStepId(runId, 1, 1, 'abandon')), input));
    expect(await admitUpdate(c.deps, updateFor(task))).toMatchObject({ refusal: { code: 'round_closed' } });
    facts(await openRound(c.deps, workflow(roundStepId(runId, 1, 2, 'open')), { runId }));
    expect(await roundOf(runId, 2)).toMatchObject({ state: 'open', baseSha: base, attempt: 2 });
    expect(await lease(c.deps, runId, 'device-0')).toMatchObject({ round: { roundId: `${runId}.1.2` } });
  });

  it('a lease ends with its round', async () => {
    const { runId } = await openRun(c.deps, { windows: { selection: '1s', report: '1ms', extend: '500ms' } });
    const task = await lease(c.deps, runId, 'device-0');
    await expect
      .poll(async () => (await admitUpdate(c.deps, updateFor(task))).outcome, { timeout: 10_000, interval: 50 })
      .toBe('repeated');
    await expect
      .poll(async () => (await leaseTask(c.deps, { orgId: ORG, runId, deviceId: 'device-1' })).reason, {
        timeout: 10_000,
      })
      .toBe('no_round');
  });

  it('without a goal takes as many as come', async () => {
    const { runId } = await openRun(c.deps, { goal: null });
    for (const device of devices(4)) expect(await answer(runId, device)).toMatchObject({ outcome: 'accepted' });
    expect(await roundOf(runId)).toMatchObject({ state: 'open', room: 4096, counted: 4 });
    facts(await closeAtDeadline(runId));
    await expectConsistent(runId);
  });
});

describe('ending a run', () => {
  it('abort raced with uploads: each is accepted before, or told that the round is over', async () => {
    for (let n = 0; n < 10; n += 1) {
      const { runId, modelId } = await openRun(c.deps, { goal: 50 });
      const updates = (await leaseAll(runId, 6)).map((task, i) => updateFor(task, 0.01 * (i + 1)));
      const [aborted, ...outcomes] = await Promise.all([
        abortTraining(c.deps, stopper(), { runId, reason: 'wrong data' }),
        ...updates.map((u) => admitUpdate(c.deps, u)),
      ]);
      expect(facts(aborted)).toEqual(['RoundAbandoned', 'TrainingAborted', 'TrainingFailed']);
      const accepted = outcomes.filter((o) => o.outcome === 'accepted').length;
      const row = await roundOf(runId);
      expect(row).toMatchObject({ state: 'abandoned', accepted });
      const fact = (await c.log.readStream(trainingStream(runId))).find((e) => e.fact.type === 'RoundAbandoned');
      expect(fact!.fact.data).toMatchObject({ counted: accepted, needed: 2, reason: 'aborted' });
      expect((await versionOf(modelId)).state).toBe('Draft');
    }
  });

  it('abort and an accept, one behind the other at the lock: the fact counts what was accepted', async () => {
    for (const first of ['accept', 'abort'] as const) {
      const { runId } = await openRun(c.deps);
      const update = updateFor(await lease(c.deps, runId, 'device-0'));
      const held = await c.holdRun(runId);
      const racers = {
        accept: () => admitUpdate(c.deps, update),
        abort: () => abortTraining(c.deps, stopper(), { runId, reason: 'wrong data' }),
      };
      const winner = racers[first]();
      await held.queued(1);
      const loser = racers[first === 'accept' ? 'abort' : 'accept']();
      await held.queued(2);
      await held.release();
      const outcomes = [await winner, await loser];
      const counted = first === 'accept' ? 1 : 0;
      expect(outcomes.map((o) => o.outcome)).toEqual(counted ? ['accepted', 'appended'] : ['appended', 'refused']);
      const fact = (await c.log.readStream(trainingStream(runId))).find((e) => e.fact.type === 'RoundAbandoned');
      expect(fact!.fact.data).toMatchObject({ counted });
      expect(await roundOf(runId)).toMatchObject({ state: 'abandoned', accepted: counted });
    }
  });

  it('stop without an aggregate is an abort: the version is a Draft again, free for the same request', async () => {
    const { runId, modelId, base } = await openRun(c.deps);
    expect(facts(await stopTraining(c.deps, stopper(), { runId }))).toEqual([
      'RoundAbandoned',
      'TrainingAborted',
      'TrainingFailed',
    ]);
    const request = { new_version: '1.0.0', init_artifact: base, rounds: 1, min_updates: 2, goal: 3 };
    const again = await requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    expect(again).toMatchObject({ outcome: 'appended', existing: false });
    expect(facts(again)).toEqual(['TrainingRequested', 'TrainingStarted']);
    expect(again.runId).not.toBe(runId);
  });

  it('pause and resume keep the round that collects', async () => {
    const { runId } = await openRun(c.deps);
    facts(await pauseTraining(c.deps, stopper(), { runId, reason: 'night', by: 'key_test' }));
    expect(await answer(runId, 'device-0')).toMatchObject({ outcome: 'accepted' });
    facts(await resumeTraining(c.deps, person(), { runId, by: 'key_test' }));
    expect((await resumeTraining(c.deps, person(), { runId, by: 'key_test' })).outcome).toBe('already');
  });

  it('a run is refused at once where its held-out data or its weights do not fit the model', async () => {
    const modelId = await newModel(c.deps, GRAPH);
    const base = await store(c.deps, weights());
    const ask = async (request: object) =>
      requestTraining(c.deps, person(), {
        modelId,
        request: { new_version: '1.0.0', init_artifact: base, ...request },
        source: 'own',
      });
    const unclear = { kind: 'mlp:sigmoid', input_dim: 2, output_dim: 1 };
    await expect(newModel(c.deps, unclear)).rejects.toMatchObject({ code: 'architecture_mismatch' });
    const set = await store(c.deps, weights(9));
    await expect(ask({ evaluation: { set } })).rejects.toMatchObject({ code: 'unknown_tensor' });
    await expect(ask({ evaluation: { set: 'ab'.repeat(32) } })).rejects.toMatchObject({ code: 'blob_unknown' });
    const odd = await store(c.deps, writeSafetensors([f32Tensor('weight', [3, 2], new Float32Array(6))]));
    await expect(ask({ init_artifact: odd })).rejects.toMatchObject({ code: 'architecture_mismatch' });
    expect((await ask({ evaluation: { set: await store(c.deps, heldOut()) } })).outcome).toBe('appended');
  });

  it('finish makes the last aggregate the version, with its lineage, and asks for its publication', async () => {
    const set = await store(c.deps, heldOut());
    const { runId, modelId, base } = await openRun(c.deps, { rounds: 2, publish: true, evaluation: { set } });
    for (let round = 1; round <= 2; round += 1) {
      for (const device of devices(3)) await answer(runId, device, round / 10);
      const model_sha = await store(c.deps, weights(round + 1));
      const data = { ...aggregated(round), model_sha, samples: 30 };
      facts(await recordAggregate(c.deps, workflow(roundStepId(runId, round, 1, 'aggregate')), { runId, data }));
      expect(unmet(await openRound(c.deps, workflow(), { runId }))).toContain('evaluated');
      const figures = { ...evaluated(round), accuracy: [0.85, 0.9][round - 1]! };
      facts(await recordEvaluation(c.deps, workflow(), { runId, data: figures }));
      if (round === 1) facts(await openRound(c.deps, workflow(), { runId }));
    }
    expect(await roundOf(runId, 1, 2)).toMatchObject({ baseLabel: '1.0.0-round.1', state: 'closed' });
    expect(facts(await finishTraining(c.deps, workflow(`training-${runId}/finish`), { runId }))).toEqual([
      'TrainingStopped',
      'TrainingSucceeded',
      'TrainingCompleted',
      'PublishRequested',
    ]);
    const version = await versionOf(modelId);
    expect(version.state).toBe('Trained.publishing');
    expect(version.context.training).toMatchObject({
      base: { version: null, sha: base },
      rounds: 2,
      rounds_planned: 2,
      participants: 3,
      updates: 6,
      samples: 60,
      accuracy: 0.9,
      first: { accuracy: 0.85 },
      best_round: 2,
      stop: { rule: 'rounds' },
      chain: [{ round: 1 }, { round: 2 }],
    });
    expect((await finishTraining(c.deps, workflow(`training-${runId}/finish`), { runId })).outcome).toBe('duplicate');
    expect((await finishTraining(c.deps, workflow(), { runId })).outcome).toBe('already');
  });
});

describe('asking for a run', () => {
  it('is refused without weights, on weights that are not stored, and with members it does not know', async () => {
    const { modelId } = await openRun(c.deps);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    await expect(ask({ new_version: '2.0.0' })).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(ask({ new_version: '2.0.0', init_artifact: 'a'.repeat(64) })).rejects.toMatchObject({
      code: 'blob_unknown',
    });
    const file = await store(c.deps, Buffer.from('no tensors'));
    await expect(ask({ new_version: '2.0.0', init_artifact: file })).rejects.toMatchObject({
      code: 'malformed_container',
    });
    await expect(ask({ new_version: '2.0.0', round: 3 })).rejects.toMatchObject({ code: 'unknown_field' });
    await expect(ask({ new_version: '2.0.0', base_version: '9.9.9' })).rejects.toMatchObject({
      code: 'version_not_found',
    });
  });

  it('trains on the latest usable version; one that was rolled back only with a reason', async () => {
    const modelId = await newModel(c.deps);
    for (const version of ['1.0.0', '1.1.0', '2.0.0-rc.1']) await publish(c.deps, modelId, version);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    const baseOf = async (runId: string) => (await runOf(runId)).context.base.version;
    expect(await baseOf((await ask({ new_version: '1.2.0' })).runId)).toBe('1.1.0');

    const everyone = { modelId, spec: spec('1.1.0') };
    const { rolloutId } = await createAndStart(c.deps, person(), everyone);
    facts(await rollBack(c.deps, stopper(), { rolloutId, reason: 'iOS fails', trigger: 'manual' }));
    expect(await baseOf((await ask({ new_version: '1.3.0' })).runId)).toBe('1.0.0');
    const bad = { new_version: '1.4.0', base_version: '1.1.0' };
    await expect(ask(bad)).rejects.toMatchObject({ code: 'invalid_input' });
    const allowed = await ask({ ...bad, allow_rolled_back_base: { reason: 'the fault is in the app' } });
    expect(await baseOf(allowed.runId)).toBe('1.1.0');
    expect(await ask({ new_version: '1.0.0' })).toMatchObject({ refusal: { code: 'version_reserved' } });
    expect(await ask({ new_version: '1.0.0-rc.1' })).toMatchObject({ refusal: { code: 'version_not_monotone' } });
  });

  it('trains a hotfix on a version below it, and refuses to be based on one above', async () => {
    const modelId = await newModel(c.deps);
    for (const version of ['1.1.0', '1.2.0', '1.2.1']) await publish(c.deps, modelId, version);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    const { runId } = await ask({ new_version: '1.1.1' });
    expect((await runOf(runId)).context.base.version).toBe('1.1.0');
    const above = ask({ new_version: '1.1.2', base_version: '1.2.0' });
    await expect(above).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('1.2.0 is not below 1.1.2') as string,
    });
    // An older line: no release is below it.
    await expect(ask({ new_version: '1.0.0' })).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('/base_version no usable release is below 1.0.0') as string,
    });
  });

  it('twice at once, by the same request, is one run', async () => {
    const { modelId, base } = await openRun(c.deps);
    const input = { modelId, request: { new_version: '1.5.0', init_artifact: base }, source: 'own' as const };
    const both = await Promise.all([1, 2, 3].map(() => requestTraining(c.deps, person(), input)));
    expect(both.map((o) => o.outcome).sort()).toEqual(['already', 'already', 'appended']);
    expect(new Set(both.map((o) => o.runId)).size).toBe(1);
  });
});
