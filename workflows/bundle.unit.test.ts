/** The bundle that a worker runs: what is in it, and what is not. */
import { Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleWorkflows } from '../activities/runWorker.ts';
import * as workflows from './index.ts';

let code = '';
beforeAll(async () => {
  code = (await bundleWorkflows()).code;
}, 60_000);

describe('the workflow bundle', () => {
  it('builds, and offers exactly the four workflows', () => {
    expect(Object.keys(workflows).sort()).toEqual([
      'publishVersion',
      'rollbackVersion',
      'rolloutVersion',
      'trainModel',
    ]);
    for (const name of Object.keys(workflows)) expect(code).toContain(name);
    expect(Worker).toBeDefined();
  });

  it('stays small', () => {
    expect(code.length).toBeLessThan(2_500_000);
  });

  it('holds no driver, server or client', () => {
    const modules = [...code.matchAll(/"\.\/node_modules\/((?:@[^/"]+\/)?[^/"]+)/g)].map((m) => m[1]!);
    expect(modules.length).toBeGreaterThan(0);
    for (const banned of ['pg', 'kysely', 'fastify', 'nats', '@nats-io/jetstream', 'typebox', 'xstate', 'zod']) {
      expect(modules, banned).not.toContain(banned);
    }
  });
});
