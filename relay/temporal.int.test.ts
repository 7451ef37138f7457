/** Faults between log and Temporal: what is lost is made up for, and nothing happens twice. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { abortRollout } from '../commands/abortRollout.ts';
import type { CommandDeps } from '../commands/context.ts';
import { pauseRollout } from '../commands/pauseRollout.ts';
import { resumeRollout } from '../commands/resumeRollout.ts';
import { rolloutProcess } from '../domain/events/processes.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { model } from '../machines/facts.fixture.ts';
import { appendUnchecked, request, until } from '../test/support/log.ts';
import {
  arm,
  asKey,
  openWorkflows,
  publishedModel,
  quickSpec,
  start,
  type WorkflowFixture,
} from '../test/support/workflows.ts';
import type { TemporalCalls } from './temporalCalls.ts';

const healthy = { canary: arm(10, 100, 0), control: arm(10, 100, 0) };
const silent = { canary: arm(0, 0, 0), control: arm(0, 0, 0) };

let t: WorkflowFixture;
beforeAll(async () => {
  t = await openWorkflows();
});
afterAll(() => t.close());

const rowOf = async (id: string) =>
  (await t.log.admin.query('SELECT state, due_version, rung_version FROM ops.processes WHERE id = $1', [id])).rows[0];
const countOf = async (rolloutId: number, type: string) =>
  (await t.rolloutFacts(rolloutId)).filter((e) => e.fact.type === type).length;
const closedBefore = (id: string, minutes: number) =>
  t.log.admin.query(
    'UPDATE ops.processes SET closed_at = clock_timestamp() - make_interval(mins => $2) WHERE id = $1',
    [id, minutes],
  );
const runIdOf = async (rolloutId: number) =>
  (await t.client.workflow.getHandle(rolloutProcess(rolloutId)).describe()).runId;

describe('the relay to Temporal', () => {
  it('starts what began while it was down, and waits while Temporal is down', async () => {
    t.counters = healthy;
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [100]));
    const nowhere = { address: '127.0.0.1:9', namespace: 'default' };
    const deaf = t.startRelay({ temporal: nowhere });
    await pauseRollout(t.commands, asKey(), { rolloutId: id, reason: 'works without Temporal' });
    await deaf.stop();
    expect(await rowOf(rolloutProcess(id))).toBeUndefined();

    await resumeRollout(t.commands, asKey(), { rolloutId: id });
    const relay = t.startRelay();
    const worker = await t.startWorker();
    await t.untilFact(id, 'RolloutCompleted');
    await until('the row is closed', async () => (await rowOf(rolloutProcess(id)))?.state === 'closed');
    await worker.stop();
    await relay.stop();
  });

  it('appends once although the answer of the append was lost', async () => {
    t.counters = healthy;
    const lost: string[] = [];
    const log: CommandDeps['log'] = {
      ...t.commands.log,
      async append(request, options) {
        // Noted before the fact is there: the test waits on the fact.
        const isFirst = !lost.includes(request.commandId);
        if (isFirst) lost.push(request.commandId);
        const result = await t.commands.log.append(request, options);
        if (!isFirst) return result;
        throw new Error('the answer was lost');
      },
    };
    const relay = t.startRelay();
    const worker = await t.startWorker({ commands: { ...t.commands, log } });
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [50, 100]));
    await t.untilFact(id, 'RolloutCompleted');
    expect(lost).toContain(`rollout-${id}/1/stage-1/enter`);
    expect(lost).toContain(`rollout-${id}/1/complete`);
    expect(await countOf(id, 'StageEntered')).toBe(2);
    expect(await countOf(id, 'RolloutCompleted')).toBe(1);
    await worker.stop();
    await relay.stop();
  });

  it('signals again where a signal did not arrive', async () => {
    t.counters = silent;
    let broken = false;
    const lossy = (calls: TemporalCalls): TemporalCalls => ({
      ...calls,
      signal: (id, fact) => (broken ? Promise.resolve({ failed: 'a fault' }) : calls.signal(id, fact)),
    });
    const relay = t.startRelay({ intercept: lossy, parkAfterMs: 1, reconcileEveryMs: 100 });
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [100]));
    const process = rolloutProcess(id);
    await until('the workflow was started', async () => (await rowOf(process))?.state === 'open');
    broken = true;
    await pauseRollout(t.commands, asKey(), { rolloutId: id, reason: 'r' });
    await until('the signal is parked', async () => {
      const row = await rowOf(process);
      return row.due_version > row.rung_version;
    });
    broken = false;
    await until('the reconciler signalled', async () => {
      const row = await rowOf(process);
      return row.rung_version >= row.due_version;
    });
    const history = await t.client.workflow.getHandle(process).fetchHistory();
    const signals = (history.events ?? []).filter((e) => e.workflowExecutionSignaledEventAttributes);
    expect(signals.length).toBeGreaterThanOrEqual(1);
    await relay.stop();
  });

  it('starts a terminated workflow again, and the rollout goes on', async () => {
    t.counters = silent;
    const relay = t.startRelay({ reconcileEveryMs: 100 });
    const worker = await t.startWorker();
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [50, 100]));
    await until('the workflow was started', async () => (await rowOf(rolloutProcess(id)))?.state === 'open');
    const first = await runIdOf(id);
    await t.client.workflow.getHandle(rolloutProcess(id)).terminate('a fault');
    await until('another run lives', async () => (await runIdOf(id)) !== first);
    t.counters = healthy;
    await t.untilFact(id, 'RolloutCompleted');
    expect(await countOf(id, 'StageEntered')).toBe(2);
    await worker.stop();
    await relay.stop();
  });

  it('signals a run that outlived its subject, and in the end cancels it', async () => {
    t.counters = silent;
    const deaf = (calls: TemporalCalls): TemporalCalls => ({ ...calls, signal: () => Promise.resolve('done') });
    const relay = t.startRelay({ intercept: deaf });
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [100]));
    const process = rolloutProcess(id);
    await until('the workflow was started', async () => (await rowOf(process))?.state === 'open');
    await abortRollout(t.commands, asKey(undefined, 'stop'), { rolloutId: id, reason: 'r' });
    await until('the row is closed', async () => (await rowOf(process))?.state === 'closed');
    await relay.stop();
    const handle = t.client.workflow.getHandle(process);
    const events = async () => (await handle.fetchHistory()).events ?? [];
    const isAsked = async () => (await events()).some((e) => e.workflowExecutionCancelRequestedEventAttributes);
    expect((await events()).some((e) => e.workflowExecutionSignaledEventAttributes)).toBe(false);

    await closedBefore(process, 6);
    // Nobody works, so the run lives on.
    const again = t.startRelay({ reconcileEveryMs: 100 });
    await until('the run was signalled', async () =>
      (await events()).some((e) => e.workflowExecutionSignaledEventAttributes),
    );
    expect(await isAsked()).toBe(false);
    await closedBefore(process, 11);
    await until('a cancel was asked for', isAsked);
    const worker = await t.startWorker();
    await until('the run ended', async () => (await handle.describe()).status.name !== 'RUNNING');
    await until('the row is settled', async () => {
      const { rows } = await t.log.admin.query('SELECT settled FROM ops.processes WHERE id = $1', [process]);
      return rows[0].settled === true;
    });
    await worker.stop();
    await again.stop();
  });

  it('reads a backlog that touches no process page by page, and asks nobody about it', async () => {
    const relay = t.startRelay();
    const placeOf = async () =>
      (await t.log.admin.query(`SELECT log_index::int AS i FROM store.followers WHERE name = 'temporal'`)).rows[0]?.i ??
      -1;
    const isThere = async () => (await placeOf()) === (await t.log.store.head());
    await until('the relay is at the end', isThere);
    await relay.stop();
    const from = await placeOf();

    const stream = `model-${randomUUID()}`;
    const facts = [model.registered, ...Array.from({ length: 1_099 }, (_, i) => model.listed(`1.0.${i}`))];
    const events = facts.map((fact) => ({ id: randomUUID(), stream, machine: 'model@1', schemaVersion: 1, fact }));
    await t.log.store.append(request({ [stream]: 'none' }, { events }));
    await until('all is sequenced', async () => (await t.log.store.head()) === from + 1_100);

    const pages: number[] = [];
    const places: number[] = [];
    const asked: unknown[] = [];
    const note = (name: keyof TemporalCalls) => () => (asked.push(name), Promise.resolve('done' as const));
    const again = t.startRelay({
      log: {
        readLog: (after, limit) => (pages.push(after), t.log.store.readLog(after, limit)),
        readPart: () => (asked.push('readPart'), Promise.resolve([])),
      },
      intercept: (calls) => ({ ...calls, start: note('start'), signal: note('signal'), cancel: note('cancel') }),
      onMove: (logIndex) => places.push(logIndex - from),
    });
    await until('the relay is at the end', isThere);
    await again.stop();
    expect(places).toEqual([500, 1_000, 1_100]);
    expect(pages.slice(0, 3)).toEqual([from, from + 500, from + 1_000]);
    expect(asked).toEqual([]);
  });

  it('passes over a fact that cannot be read, aloud and once, and hands on what comes after it', async () => {
    t.counters = silent;
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const before = await start(t.commands, modelId, quickSpec('1.0.0', [100]));
    const poisoned = before + 500_000;
    const stream = rolloutStream(poisoned);
    await appendUnchecked(t.log.admin, { stream, type: 'RolloutStarted', data: '{"seed":7}' });
    const after = await start(t.commands, await publishedModel(t.commands, ['1.0.0']), quickSpec('1.0.0', [100]));
    const unread = (await t.log.store.readPart(stream, { limit: 1 }))[0]!.id;

    const alarms: object[] = [];
    const logger = { info() {}, warn() {}, error: (detail: object) => void alarms.push(detail) };
    const told = (rolloutId: number) =>
      until('the run lives', async () => (await rowOf(rolloutProcess(rolloutId))) !== undefined);
    const relay = t.startRelay({ logger });
    await told(before);
    await told(after);
    expect((await runIdOf(after)).length).toBeGreaterThan(0);
    expect(await rowOf(rolloutProcess(poisoned))).toBeUndefined();
    await relay.stop();

    const again = t.startRelay({ logger });
    const last = await start(t.commands, await publishedModel(t.commands, ['1.0.0']), quickSpec('1.0.0', [100]));
    await told(last);
    await again.stop();
    const logIndex = await t.log.store.logIndexOf(unread);
    expect(alarms).toEqual([expect.objectContaining({ alarm: 'undecodable_fact', log_index: logIndex })]);
  });
});
