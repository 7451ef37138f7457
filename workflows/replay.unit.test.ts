/** Every recorded history replays against today's workflows: a change of order or kind of their steps needs `patched`. */
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { hostname } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleWorkflows } from '../activities/runWorker.ts';
import { installRuntime } from '../activities/temporalRuntime.ts';
import { RECORDED, recorded } from '../test/support/histories.ts';

const mute = () => undefined;
installRuntime({ info: mute, warn: mute, error: mute });

let workflowBundle: { readonly code: string };
beforeAll(async () => {
  workflowBundle = await bundleWorkflows();
}, 60_000);

/** A history does not say its workflow's id; ours use it in alerts only. */
const replay = (json: string) =>
  Worker.runReplayHistory({ workflowBundle: { ...workflowBundle, sourceMap: '' } }, JSON.parse(json), 'replayed');

describe('a recorded history', () => {
  it.each(RECORDED)('replays: %s', async (name) => {
    await replay(recorded(name));
  });

  it.each(RECORDED)('names no machine: %s', (name) => {
    const text = recorded(name);
    const decoded = [...text.matchAll(/"data":"([A-Za-z0-9+/=]+)"/g)].map((m) =>
      Buffer.from(m[1]!, 'base64').toString(),
    );
    for (const part of [text, ...decoded]) {
      expect(part).not.toMatch(/\/(root|home|work|tmp|var|Users|opt|usr)\//);
      expect(part).not.toMatch(/\d+@[A-Za-z]/);
      expect(part).not.toContain(hostname());
    }
    expect(text.length).toBeLessThan(200_000);
  });

  it('does not replay with a step that is not ours', async () => {
    const other = recorded('rollout-completed').replaceAll('"watchStage"', '"watchElsewhere"');
    await expect(replay(other)).rejects.toThrow(DeterminismViolationError);
  });
});
