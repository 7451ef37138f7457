/** `edgeml rollout`, `edgeml rollback`, `edgeml postmortem`. */
import type { Command } from 'commander';
import type { Filter } from '../../domain/events/rollout.ts';
import { DEFAULT_POLICY } from '../../domain/rollout/defaultPolicy.ts';
import { maxErrorRate as evidenceLimit } from '../../domain/rollout/verdict/policy.ts';
import { EdgeMLError } from '../../sdk/errors.ts';
import type { RolloutHandle } from '../../sdk/rollout.ts';
import type { CreateRollout, Rollout, RolloutEnded, RolloutPage, RolloutPlan } from '../../sdk/types.ts';
import { EXIT } from '../exit.ts';
import { refuseFlag, uses } from '../globals.ts';
import { table } from '../output.ts';
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
import { waiting } from '../waiting.ts';
import { consequenceSentence } from './consequence.ts';
import { confirm, shownPercent, session, type Session } from './shared.ts';

const POLL_MS = 200;
const ENDED = new Set(['completed', 'rolled_back', 'aborted', 'paused', 'held']);

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

const ROLLOUT = argument('id', 'its number', whole(1));

/** `REGRESSED by error_rate`. */
const judgedWords = (judged: NonNullable<Rollout['judged']>): string => {
  const by = 'guilt' in judged ? judged.guilt : judged.rule;
  return `${judged.verdict}${by ? ` by ${by.metric}` : ''}`;
};

const describe = (r: Rollout): string[] => [
  `rollout ${r.id}: ${r.version} is ${r.status} at ${shownPercent(r.percent_now)} (stage ${r.stage + 1} of ${r.stages.length})`,
  ...(r.judged ? [`judged     ${judgedWords(r.judged)}`] : []),
  ...(r.paused ? [`paused     ${r.paused.cause}: ${r.paused.reason} (${r.paused.at})`] : []),
  ...(r.rolled_back ? [`rolled back to ${r.rolled_back.target ?? 'nothing'}: ${r.rolled_back.reason}`] : []),
  ...(r.aborted ? [`aborted    ${r.aborted.reason}`] : []),
];

const describeEnd = (r: RolloutEnded): string[] => [
  ...describe(r),
  `stable     ${r.stable_version ?? 'no version: devices are told nothing new'}`,
];

/** The exit code of a pipeline: 0 completed, 3 rolled back or aborted, 4 paused or held. */
const exitOf = (r: Rollout) => {
  if (r.status === 'rolled_back' || r.status === 'aborted') return EXIT.badOutcome;
  return r.status === 'paused' || r.status === 'held' ? EXIT.held : EXIT.done;
};

/** Follows it until it ends, is paused or is held. @throws CliError `timeout` */
async function followRollout(s: Session, id: number): Promise<Rollout> {
  const bar = s.out.progress(`rollout ${id}`);
  let standing = `rollout ${id} goes on`;
  const comeBack = `edgeml rollout status ${id} --wait`;
  return waiting({ timeoutMs: s.flags.timeout, standing: () => standing, comeBack }, async (wait) => {
    for (;;) {
      const r = await wait.ask((signal) => s.federation.rollout(id).get({ signal }));
      standing = `rollout ${id} is ${r.status} at ${shownPercent(r.percent_now)}`;
      const done = Math.round(r.percent_now);
      bar.update({ phase: r.status, done, total: 100, unit: 'percent' }, `${r.version} ${r.status}`);
      if (ENDED.has(r.status)) return r;
      await wait.pause(POLL_MS);
    }
  }).finally(() => bar.done());
}

/** Without `--wait` nothing is waited for, and only without it can a moment of the past be read. */
function checkWaiting(command: Command, waits: boolean | undefined): void {
  if (waits) return refuseFlag(command, 'asOf', 'what is waited for happens now');
  for (const flag of ['timeout', 'progress'] as const) refuseFlag(command, flag, 'it waits with --wait only');
}

/**
 * The version that a rollback would mark: said in the question, and sent, so that a second press does not take another one.
 * Undefined where the read models do not answer: a kill switch does not wait for them.
 */
async function inForce({ http, registry }: Session, model: string): Promise<string | undefined> {
  try {
    const { items }: RolloutPage = await http.json('GET', '/lifecycle/v1/rollouts', { query: { model, live: true } });
    return items[0]?.version ?? (await registry.getModel(model)).stable_version ?? undefined;
  } catch (error) {
    if (error instanceof EdgeMLError && error.status >= 500) return undefined;
    throw error;
  }
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

export function addRolloutCommands(program: Command): void {
  const rollout = program.command('rollout').description('progressive rollouts');

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
      s.out.show(r, () => describe(r), String(r.id));
      s.out.note(`next: edgeml rollout status ${r.id} --wait`);
      process.exitCode = exitOf(r);
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

  uses(rollout.command('list'), 'asOf')
    .addArgument(argument('model', 'its name or id', name))
    .description('the rollouts of a model')
    .action(async (model: string, _o: unknown, command: Command) => {
      const { out, http, asOf } = session(command);
      const query = { model, as_of: asOf.asOf, limit: 500 };
      const { items }: RolloutPage = await http.json('GET', '/lifecycle/v1/rollouts', { query });
      out.list(
        items,
        () =>
          table(
            ['ID', 'VERSION', 'STATUS', 'STAGE', 'FROM'],
            items.map((r) => [
              String(r.id),
              r.version,
              r.status,
              `${r.stage + 1}/${r.stages.length}`,
              r.previous_version ?? '–',
            ]),
          ),
        (r: { id: number }) => String(r.id),
      );
    });

  for (const verb of ['get', 'status'] as const) {
    uses(rollout.command(verb), 'asOf', 'waits')
      .addArgument(ROLLOUT)
      .description(verb === 'get' ? 'one rollout' : 'one rollout, and how it stands as the exit code')
      .option('--wait', 'follow it to its end: 0 completed, 3 rolled back or aborted, 4 paused or held')
      .action(async (id: number, o: { wait?: boolean }, command: Command) => {
        checkWaiting(command, o.wait);
        const s = session(command);
        const r = o.wait ? await followRollout(s, id) : await s.federation.rollout(id).get(s.asOf);
        s.out.show(r, () => describe(r), String(r.id));
        if (o.wait || verb === 'status') process.exitCode = exitOf(r);
      });
  }

  addVerbs(rollout);

  rollout
    .command('root-cause')
    .addArgument(ROLLOUT)
    .description('what it was; closes the post-mortem')
    .addOption(valued('--text <text>', 'for people', text).makeOptionMandatory())
    .action(async (id: number, o: { text: string }, command: Command) => {
      const { out, federation } = session(command);
      const r = await federation.rollout(id).recordRootCause(o.text);
      out.show(r, () => describe(r), String(r.id));
    });

  uses(program.command('rollback'), 'yes')
    .addArgument(argument('model', 'its name or id', name))
    .description('away from the version in force, at once; works while Temporal and NATS are down')
    .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory())
    .addOption(valued('--to <version>', 'a version that was stable, also an aborted one', name))
    .addOption(
      valued(
        '--from <version>',
        'the version that must go; default: the one that rolls out, else the stable one',
        name,
      ),
    )
    .action(async (model: string, o: { reason: string; to?: string; from?: string }, command: Command) => {
      const s = session(command);
      const { flags, out, http, federation } = s;
      const from = o.from ?? (await inForce(s, model));
      const bad = from ?? 'the version in force';
      const path = `/lifecycle/v1/models/${encodeURIComponent(model)}/rollback`;
      const body = {
        reason: o.reason,
        ...(from === undefined ? {} : { from_version: from }),
        ...(o.to === undefined ? {} : { target_version: o.to }),
      };
      await confirm(flags, `Roll ${model} back from ${bad}${o.to ? ` to ${o.to}` : ''}? It is marked for ever.`, () =>
        consequenceSentence(http, path, body),
      );
      const r = await federation.rollback({
        model,
        reason: o.reason,
        ...(from === undefined ? {} : { fromVersion: from }),
        ...(o.to === undefined ? {} : { targetVersion: o.to }),
      });
      out.show(r, () => describeEnd(r), String(r.id));
      out.note(`next: edgeml postmortem get ${r.id}`);
    });

  program
    .command('postmortem')
    .description('what happened, from the log')
    .command('get')
    .addArgument(argument('rollout', 'its number', whole(1)))
    .description('what happened in one rollout')
    .action(async (id: number, _o: unknown, command: Command) => {
      const { out, federation } = session(command);
      const handle = federation.rollout(id);
      if (out.format !== 'text') return out.show(await handle.postMortem(), () => [], String(id));
      const markdown = await handle.postMortemMarkdown();
      out.show(markdown, () => markdown.split('\n'), String(id));
    });
}

/** What a person does to a rollout. Abort and rollback ask once; a stop that only halts does not. */
function addVerbs(rollout: Command): void {
  const verb = (word: string, description: string, needsReason: boolean) =>
    rollout
      .command(word)
      .addArgument(ROLLOUT)
      .description(description)
      .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory(needsReason));
  const act = async (command: Command, id: number, use: (handle: RolloutHandle) => Promise<Rollout>) => {
    const { out, federation } = session(command);
    const r = await use(federation.rollout(id));
    out.show(r, () => describe(r), String(r.id));
  };

  verb('pause', 'devices stay where they are', true).action((id: number, o: { reason: string }, command: Command) =>
    act(command, id, (handle) => handle.pause(o.reason)),
  );
  verb('resume', 'go on', false).action((id: number, o: { reason?: string }, command: Command) =>
    act(command, id, (handle) => handle.resume(o.reason)),
  );
  verb('advance', 'the next stage', false)
    .option('--override', 'before the bake is over; needs a reason')
    .action((id: number, o: { reason?: string; override?: boolean }, command: Command) => {
      requires(command, '--reason', '--override');
      const because = o.reason === undefined ? {} : { reason: o.reason };
      return act(command, id, (handle) => handle.advance({ ...because, ...(o.override ? { override: true } : {}) }));
    });
  for (const [word, description] of [
    ['abort', 'devices return to what is stable, if anything is; the version is not blamed'],
    ['rollback', 'devices return to what is stable, if anything is; the version is marked for ever'],
  ] as const) {
    const ending = uses(verb(word, description, true), 'yes');
    if (word === 'rollback')
      ending.addOption(valued('--to <version>', 'a version that was stable, also an aborted one', name));
    ending.action(async (id: number, o: { reason: string; to?: string }, command: Command) => {
      const { flags, http, out, federation } = session(command);
      const target = o.to === undefined ? {} : { target_version: o.to };
      const path = `/lifecycle/v1/rollouts/${id}/${word}`;
      await confirm(flags, `${word} rollout ${id}?`, () =>
        consequenceSentence(http, path, { reason: o.reason, ...target }),
      );
      const handle = federation.rollout(id);
      const to = o.to === undefined ? {} : { targetVersion: o.to };
      const r = word === 'abort' ? await handle.abort(o.reason) : await handle.rollback(o.reason, to);
      out.show(r, () => describeEnd(r), String(r.id));
    });
  }
}
