/** `edgeml rollout start`: the flags of a spec. */
import type { Command } from 'commander';
import type { CreateRollout } from '../../sdk/types.ts';
import { uses } from '../globals.ts';
import {
  argument,
  duration,
  excludes,
  limitShare,
  list,
  name,
  percentFlag as oneOfSteps,
  requires,
  text,
  valued,
  whole,
} from '../parse.ts';
import { checkWaiting, followRollout, rolloutExit, rolloutLines } from './rolloutShown.ts';
import { session } from './shared.ts';

interface StartOptions {
  readonly steps?: number[];
  readonly bake?: string;
  readonly maxBake?: string;
  readonly ramp?: string;
  readonly look?: string;
  readonly platform?: string[];
  readonly maxErrorRate?: number;
  readonly minPredictions?: number;
  readonly minDevices?: number;
  readonly hold?: boolean;
  readonly pending?: boolean;
  readonly wait?: boolean;
}

function specOf(version: string, o: StartOptions): CreateRollout {
  return {
    version,
    ...(o.steps === undefined
      ? {}
      : {
          stages: o.steps.map((step) => ({
            percent: step,
            ...(o.ramp === undefined ? {} : { ramp: o.ramp }),
            ...(o.bake === undefined ? {} : { min_bake: o.bake }),
            ...(o.maxBake === undefined ? {} : { max_bake: o.maxBake }),
          })),
        }),
    ...(o.platform === undefined ? {} : { cohort: { platform: o.platform } }),
    ...(o.look === undefined ? {} : { look: o.look }),
    ...(o.maxErrorRate === undefined
      ? {}
      : {
          policy: {
            rules: [
              {
                metric: 'error_rate' as const,
                op: '>' as const,
                value: o.maxErrorRate,
                min_predictions: o.minPredictions ?? 200,
                min_devices: o.minDevices ?? 10,
              },
            ],
          },
        }),
    ...(o.hold ? { on_regressed: 'hold' as const } : {}),
  };
}

/** Adds `start` to `edgeml rollout`. */
export function addRolloutStart(rollout: Command): void {
  uses(rollout.command('start'), 'waits')
    .addArgument(argument('model', 'its name or id', name))
    .addArgument(argument('version', 'a published version', name))
    .description('roll a published version out, stage by stage')
    .addOption(valued('--steps <list>', 'percents, such as 10,25,50,75,100', list(oneOfSteps)))
    .addOption(valued('--bake <duration>', 'least bake of each stage of --steps', duration))
    .addOption(valued('--max-bake <duration>', 'longest bake of each stage of --steps', duration))
    .addOption(valued('--ramp <duration>', 'time in which a stage of --steps grows', duration))
    .addOption(valued('--look <duration>', 'time between looks at the counters', duration))
    .addOption(valued('--platform <list>', 'only these platforms', list(text)))
    .addOption(valued('--max-error-rate <share>', 'regressed above it, such as 5%', limitShare))
    .addOption(valued('--min-predictions <n>', 'the rule says nothing before so many; 200', whole(1)))
    .addOption(valued('--min-devices <n>', 'the rule says nothing before so many; 10', whole(1)))
    .option('--hold', 'hold instead of rolling back')
    .option('--pending', 'create it without starting it')
    .option('--wait', 'follow it to its end, for pipelines: 0 completed, 3 rolled back or aborted, 4 paused or held')
    .addHelpText(
      'after',
      '\nExample:\n  edgeml rollout start spam-filter 1.1.0 --steps 10,25,50,75,100 --bake 24h --max-error-rate 5% --wait',
    )
    .action(async (model: string, v: string, o: StartOptions, command: Command) => {
      requires(command, '--steps', '--bake', '--max-bake', '--ramp');
      requires(command, '--max-error-rate', '--min-predictions', '--min-devices');
      excludes(command, '--pending', '--wait');
      checkWaiting(command, o.wait);
      const s = session(command);
      const handle = await s.federation.deploy({ model, start: !o.pending, ...specOf(v, o) });
      const r = o.wait ? await followRollout(s, handle.id) : await handle.get();
      s.out.show(r, () => rolloutLines(r), String(r.id));
      s.out.note(`next: edgeml rollout status ${r.id} --wait`);
      process.exitCode = rolloutExit(r);
    });
}
