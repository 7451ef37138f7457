/** `edgeml rollout start` and `plan`: the flags of a spec. */
import type { Command } from 'commander';
import type { Filter } from '../../domain/events/rollout.ts';
import { DEFAULT_POLICY } from '../../domain/rollout/defaultPolicy.ts';
import { maxErrorRate as evidenceLimit } from '../../domain/rollout/verdict/policy.ts';
import type { CreateRollout, RolloutPlan } from '../../sdk/types.ts';
import { EXIT } from '../exit.ts';
import { uses } from '../globals.ts';
import {
  argument,
  duration,
  excludes,
  filter,
  holdbackFlag,
  limitShare,
  list,
  name,
  oneOf,
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
  readonly cohort?: Filter;
  readonly exclude?: Filter;
  readonly policy?: 'evidence' | 'rules';
  readonly ifUnproven?: 'auto' | 'advance' | 'ask';
  readonly holdback?: number;
  readonly maxErrorRate?: number;
  readonly minPredictions?: number;
  readonly minDevices?: number;
  readonly hold?: boolean;
  readonly pending?: boolean;
  readonly wait?: boolean;
}

/** A rate is a limit of the metric `errors`, or a rule over totals where fixed limits are meant. */
function policyOf(o: StartOptions): Partial<CreateRollout> {
  const { maxErrorRate, minPredictions, minDevices } = o;
  const asksRules = minPredictions !== undefined || minDevices !== undefined;
  const asksEvidence = o.ifUnproven !== undefined || o.holdback !== undefined;
  const policy = o.policy ?? (asksRules ? 'rules' : asksEvidence ? 'evidence' : DEFAULT_POLICY);
  if (policy === 'evidence') {
    return {
      ...(o.policy === undefined ? {} : { policy }),
      ...(o.ifUnproven === undefined ? {} : { if_unproven: o.ifUnproven }),
      ...(o.holdback === undefined ? {} : { holdback: o.holdback }),
      ...(maxErrorRate === undefined ? {} : { metrics: { errors: evidenceLimit(maxErrorRate) } }),
    };
  }
  if (maxErrorRate === undefined) return o.policy === undefined ? {} : { policy: { rules: [] } };
  const rule = {
    metric: 'error_rate' as const,
    op: '>' as const,
    value: maxErrorRate,
    min_predictions: minPredictions ?? 200,
    min_devices: minDevices ?? 10,
  };
  return { policy: { rules: [rule] } };
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
    ...(o.cohort === undefined ? {} : { cohort: o.cohort }),
    ...(o.exclude === undefined ? {} : { exclude: o.exclude }),
    ...(o.look === undefined ? {} : { look: o.look }),
    ...policyOf(o),
    ...(o.hold ? { on_regressed: 'hold' as const } : {}),
  };
}

/** What a rollout is, for whoever starts or plans one. */
const specified = (command: Command): Command =>
  command
    .addArgument(argument('model', 'its name or id', name))
    .addArgument(argument('version', 'a published version', name))
    .addOption(valued('--steps <list>', 'percents, such as 10,25,50,75,100', list(oneOfSteps)))
    .addOption(valued('--bake <duration>', 'least bake of each stage of --steps', duration))
    .addOption(valued('--max-bake <duration>', 'longest bake of each stage of --steps', duration))
    .addOption(valued('--ramp <duration>', 'time in which a stage of --steps grows', duration))
    .addOption(valued('--look <duration>', 'time between looks at the counters', duration))
    .addOption(valued('--platform <list>', 'only these platforms', list(text)))
    .addOption(valued('--cohort <filter>', 'only these devices, such as "platform=ios os>=14 region=eu"', filter))
    .addOption(valued('--exclude <filter>', 'all but these devices', filter))
    .addOption(valued('--policy <name>', 'evidence or rules', oneOf('evidence', 'rules')))
    .addOption(valued('--if-unproven <what>', 'auto, advance or ask', oneOf('auto', 'advance', 'ask')))
    .addOption(valued('--holdback <percent>', 'kept on the stable version to the end', holdbackFlag))
    .addOption(valued('--max-error-rate <share>', 'regressed above it, such as 5%', limitShare))
    .addOption(valued('--min-predictions <n>', 'a rule says nothing before so many; 200', whole(1)))
    .addOption(valued('--min-devices <n>', 'a rule says nothing before so many; 10', whole(1)))
    .option('--hold', 'hold instead of rolling back');

function checkSpec(command: Command): void {
  requires(command, '--steps', '--bake', '--max-bake', '--ramp');
  requires(command, '--max-error-rate', '--min-predictions', '--min-devices');
  excludes(command, '--platform', '--cohort');
}

const describePlan = ({ preflight, guards }: RolloutPlan): string[] => [
  ...guards.filter((g) => !g.met).map((g) => `refused by ${g.name}: ${g.why}`),
  ...(preflight === null ? ['fixed limits: the fleet is not asked what it can show'] : []),
  ...(preflight?.notes ?? []),
  ...(preflight?.stages ?? []).map((s) => `stage ${s.stage + 1} at ${s.percent} %: ${s.says}`),
];

/** Adds `start` and `plan` to `edgeml rollout`. */
export function addRolloutStart(rollout: Command): void {
  specified(uses(rollout.command('start'), 'waits'))
    .description('roll a published version out, stage by stage')
    .option('--pending', 'create it without starting it')
    .option('--wait', 'follow it to its end, for pipelines: 0 completed, 3 rolled back or aborted, 4 paused or held')
    .addHelpText(
      'after',
      '\nExample:\n  edgeml rollout start spam-filter 1.1.0 --steps 10,25,50,75,100 --bake 24h --max-error-rate 5% --wait',
    )
    .action(async (model: string, v: string, o: StartOptions, command: Command) => {
      checkSpec(command);
      excludes(command, '--pending', '--wait');
      checkWaiting(command, o.wait);
      const s = session(command);
      const handle = await s.federation.deploy({ model, start: !o.pending, ...specOf(v, o) });
      const r = o.wait ? await followRollout(s, handle.id) : await handle.get();
      s.out.show(r, () => rolloutLines(r), String(r.id));
      s.out.note(`next: edgeml rollout status ${r.id} --wait`);
      process.exitCode = rolloutExit(r);
    });

  specified(rollout.command('plan'))
    .description('what each stage would be able to show on this fleet; nothing is started')
    .action(async (model: string, v: string, o: StartOptions, command: Command) => {
      checkSpec(command);
      const { out, http } = session(command);
      const path = `/lifecycle/v1/models/${encodeURIComponent(model)}/rollouts`;
      const body = { ...specOf(v, o), start: true };
      const plan: RolloutPlan = await http.json('POST', path, { body, query: { dry_run: true } });
      out.show(plan, () => describePlan(plan), plan.preflight === null ? 'rules' : 'evidence');
      if (plan.guards.some((g) => !g.met)) process.exitCode = EXIT.badOutcome;
    });
}
