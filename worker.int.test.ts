/** The worker as a process: it works, it survives that Temporal comes late, and it ends cleanly. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordRootCause } from './commands/recordRootCause.ts';
import { rollBack } from './commands/rollBack.ts';
import { rollbackProcess, rolloutProcess } from './domain/events/processes.ts';
import { until } from './test/support/log.ts';
import { temporal, testHome } from './test/support/services.ts';
import {
  asKey,
  openWorkflows,
  publishedModel,
  quickSpec,
  start,
  type WorkflowFixture,
} from './test/support/workflows.ts';

let t: WorkflowFixture;
beforeAll(async () => {
  t = await openWorkflows();
});
afterAll(() => t.close());

function spawnWorker(home: string, address: string): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, ['--import', 'tsx', 'worker.ts'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      DATABASE_URL: t.log.appUrl,
      NATS_URL: 'nats://127.0.0.1:1',
      TEMPORAL_ADDRESS: address,
      TEMPORAL_TASK_QUEUE: t.taskQueue,
      EDGEML_HOME: home,
    },
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, output: () => text };
}

describe('the worker process', () => {
  it('runs the workflows of its queue, and ends with 0 on SIGTERM', async () => {
    const { child, output } = spawnWorker(testHome('worker'), temporal().address);
    const ended = once(child, 'exit');
    const relay = t.startRelay();
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [100]));
    await until('the worker polls', () => output().includes('working'), 30_000);
    // No device reports, so the stage stays where it is: the person's word decides, and the workflow follows.
    await rollBack(t.commands, asKey(undefined, 'stop'), { rolloutId: id, reason: 'a test', trigger: 'manual' });
    await expect(t.client.workflow.getHandle(rolloutProcess(id)).result()).resolves.toEqual({ state: 'RolledBack' });
    await recordRootCause(t.commands, asKey(), { rolloutId: id, text: 'none' });
    await until('the follow-up has begun', () =>
      t.client.workflow
        .getHandle(rollbackProcess(id))
        .describe()
        .then(
          () => true,
          () => false,
        ),
    );
    await expect(t.client.workflow.getHandle(rollbackProcess(id)).result()).resolves.toEqual({ state: 'RolledBack' });
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(output()).toContain('stopped');
    await relay.stop();
  });

  it('waits for a Temporal that is not there, and still ends with 0', async () => {
    const { child, output } = spawnWorker(testHome('worker'), '127.0.0.1:9');
    const ended = once(child, 'exit');
    await until('it says so', () => output().includes('Temporal is not there'), 30_000);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
