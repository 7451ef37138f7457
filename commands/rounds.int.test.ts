/** Training on a real log: tasks, uploads, rounds, endings. Long: they share the way to an open round. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roundStepId } from '../domain/events/commandIds.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { encodeUpdate, f32Tensor } from '../domain/formats/safetensors/index.ts';
import { acceptedRoot } from '../domain/learning/index.ts';
import { trainingMachine } from '../machines/trainingRun.ts';
import { abandonRound } from './abandonRound.ts';
import { abortTask } from './abortTask.ts';
import { abortTraining } from './abortTraining.ts';
import { admitUpdate, type AdmitUpdate, type UpdateBody, type UpdateOutcome } from './admitUpdate.ts';
import { closeRound } from './closeRound.ts';
import {
  bodyOf,
  facts,
  lease,
  openCommands,
  openRun,
  ORG,
  stopper,
  unmet,
  updateFor,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { checkTask } from './heldTask.ts';
import { leaseTask } from './leaseTask.ts';
import { openRound } from './openRound.ts';
import { pauseTraining } from './pauseTraining.ts';

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
