/** `edgeml rollout`, `edgeml rollback`, `edgeml postmortem`. */
import type { Command } from 'commander';
import { parseDuration } from '../../domain/duration.ts';
import { EdgeMLError } from '../../sdk/errors.ts';
import type { CreateRollout, Rollout, RolloutPage } from '../../sdk/types.ts';
import { CliError, EXIT } from '../exit.ts';
import { table } from '../output.ts';
import { confirm, number, percent, session, type Session } from './shared.ts';

const describe = (r: Rollout): string[] => [
  `rollout ${r.id}: ${r.version} is ${r.status} at ${percent(r.percent_now)} (stage ${r.stage + 1} of ${r.stages.length})`,
  ...(r.judged ? [`judged     ${r.judged.verdict}${r.judged.rule ? ` by ${r.judged.rule.metric}` : ''}`] : []),
  ...(r.paused ? [`paused     ${r.paused.cause}: ${r.paused.reason}`] : []),
  ...(r.rolled_back ? [`rolled back to ${r.rolled_back.target ?? 'nothing'}: ${r.rolled_back.reason}`] : []),
  ...(r.aborted ? [`aborted    ${r.aborted.reason}`] : []),
];

/** The exit code of a pipeline: 0 completed, 3 rolled back or aborted, 4 paused or held. */
const exitOf = (r: Rollout) => {
  if (r.status === 'rolled_back' || r.status === 'aborted') return EXIT.badOutcome;
  return r.status === 'paused' || r.status === 'held' ? EXIT.held : EXIT.done;
};

async function followRollout(s: Session, id: number): Promise<Rollout> {
  const limit = s.flags.timeout === undefined ? undefined : parseDuration(s.flags.timeout);
  if (s.flags.timeout !== undefined && limit === undefined)
    throw new CliError('--timeout is a duration, such as 48h', EXIT.usage);
  const deadline = limit === undefined ? undefined : AbortSignal.timeout(limit);
  const bar = s.out.progress(`rollout ${id}`);
  try {
    let last: Rollout | undefined;
    for await (const r of s.federation.rollout(id).watch()) {
      last = r;
      bar.update(
        { phase: r.status, done: Math.round(r.percent_now), total: 100, unit: 'percent' },
        `${r.version} ${r.status}`,
      );
      if (r.status === 'paused' || r.status === 'held') break;
      if (deadline?.aborted) throw new CliError(`rollout ${id} is still ${r.status}`, EXIT.timeout);
    }
    return last!; // watch yields at least once
  } finally {
    bar.done();
  }
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

function specOf(version: string, o: Record<string, string | undefined>): CreateRollout {
  const bake = o['bake'];
  const steps = o['steps']?.split(',').map((s) => Number(s.trim()));
  if (steps?.some((p) => !(p > 0 && p <= 100)))
    throw new CliError('--steps is a list of percents, such as 10,25,50,75,100', EXIT.usage);
  const rate = o['maxErrorRate'];
  const ratio = rate === undefined ? undefined : Number(rate.replace('%', '')) / (rate.includes('%') ? 100 : 1);
  if (ratio !== undefined && !(ratio >= 0 && ratio <= 1))
    throw new CliError('--max-error-rate is a share, such as 5%', EXIT.usage);
  return {
    version,
    ...(steps
      ? {
          stages: steps.map((p) => ({
            percent: p,
            ...(o['ramp'] === undefined ? {} : { ramp: o['ramp'] }),
            ...(bake === undefined ? {} : { min_bake: bake }),
            ...(o['maxBake'] === undefined ? {} : { max_bake: o['maxBake'] }),
          })),
        }
      : {}),
    ...(o['platform'] === undefined ? {} : { cohort: { platform: o['platform'].split(',') } }),
    ...(o['look'] === undefined ? {} : { look: o['look'] }),
    ...(ratio === undefined
      ? {}
      : {
          policy: {
            rules: [
              {
                metric: 'error_rate' as const,
                op: '>' as const,
                value: ratio,
                min_predictions: number(o['minPredictions'] ?? '200', '--min-predictions'),
                min_devices: number(o['minDevices'] ?? '10', '--min-devices'),
              },
            ],
          },
        }),
    ...(o['hold'] === undefined ? {} : { on_regressed: 'hold' as const }),
  };
}

export function addRolloutCommands(program: Command): void {
  const rollout = program.command('rollout').description('progressive rollouts');

  rollout
    .command('start <model> <version>')
    .description('roll a published version out, stage by stage')
    .option('--steps <list>', 'percents, such as 10,25,50,75,100')
    .option('--bake <duration>', 'least bake of each stage of --steps')
    .option('--max-bake <duration>')
    .option('--ramp <duration>')
    .option('--look <duration>', 'time between looks at the counters')
    .option('--platform <list>', 'only these platforms')
    .option('--max-error-rate <share>', 'regressed above it, such as 5%')
    .option('--min-predictions <n>', 'the rule says nothing before so many')
    .option('--min-devices <n>')
    .option('--hold', 'hold instead of rolling back')
    .option('--pending', 'create it without starting it')
    .option('--wait', 'follow it to its end, for pipelines: 0 completed, 3 rolled back, 4 paused')
    .addHelpText(
      'after',
      '\nExample:\n  edgeml rollout start spam-filter 1.1.0 --steps 10,25,50,75,100 --bake 24h --max-error-rate 5% --wait',
    )
    .action(async (model: string, v: string, o: Record<string, string | undefined>, command: Command) => {
      const s = session(command);
      const handle = await s.federation.deploy({ model, start: o['pending'] === undefined, ...specOf(v, o) });
      const r = o['wait'] ? await followRollout(s, handle.id) : await handle.get();
      s.out.show(r, () => describe(r), String(r.id));
      s.out.note(`next: edgeml rollout status ${r.id} --wait`);
      process.exitCode = exitOf(r);
    });

  rollout.command('list <model>').action(async (model: string, _o: unknown, command: Command) => {
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

  for (const name of ['get', 'status'] as const) {
    rollout
      .command(`${name} <id>`)
      .option('--wait', 'follow it to its end')
      .action(async (id: string, o: { wait?: boolean }, command: Command) => {
        const s = session(command);
        const rolloutId = number(id, 'the rollout id');
        const r = o.wait ? await followRollout(s, rolloutId) : await s.federation.rollout(rolloutId).get(s.asOf);
        s.out.show(r, () => describe(r), id);
        if (name === 'status') process.exitCode = exitOf(r);
      });
  }

  for (const verb of ['pause', 'resume', 'advance', 'abort', 'rollback'] as const) {
    rollout
      .command(`${verb} <id>`)
      .option('--reason <text>')
      .option('--override', 'advance before the bake is over; needs a reason')
      .action(async (id: string, o: { reason?: string; override?: boolean }, command: Command) => {
        const { flags, out, federation } = session(command);
        const handle = federation.rollout(number(id, 'the rollout id'));
        const because = () => {
          if (!o.reason) throw new CliError(`${verb} needs --reason`, EXIT.usage);
          return o.reason;
        };
        const act = async (): Promise<Rollout> => {
          if (verb === 'pause') return handle.pause(because());
          if (verb === 'resume') return handle.resume(o.reason);
          if (verb === 'advance') {
            const reason = o.reason === undefined ? {} : { reason: o.reason };
            return handle.advance({ ...reason, ...(o.override ? { override: true } : {}) });
          }
          const reason = because();
          await confirm(flags, `${verb} rollout ${id}?`);
          return verb === 'abort' ? handle.abort(reason) : handle.rollback(reason);
        };
        const r = await act();
        out.show(r, () => describe(r), id);
      });
  }

  rollout
    .command('root-cause <id>')
    .description('what it was; closes the post-mortem')
    .requiredOption('--text <text>')
    .action(async (id: string, o: { text: string }, command: Command) => {
      const { out, federation } = session(command);
      const r = await federation.rollout(number(id, 'the rollout id')).recordRootCause(o.text);
      out.show(r, () => describe(r), id);
    });

  program
    .command('rollback <model>')
    .description('back to the last stable version, at once; works while Temporal and NATS are down')
    .requiredOption('--reason <text>')
    .option('--to <version>', 'an older version that was stable')
    .option('--from <version>', 'the version that must go; default: the one that rolls out, else the stable one')
    .action(async (model: string, o: { reason: string; to?: string; from?: string }, command: Command) => {
      const s = session(command);
      const { flags, out, federation } = s;
      const from = o.from ?? (await inForce(s, model));
      const bad = from ?? 'the version in force';
      await confirm(flags, `Roll ${model} back from ${bad}${o.to ? ` to ${o.to}` : ''}? It is marked for ever.`);
      const r = await federation.rollback({
        model,
        reason: o.reason,
        ...(from === undefined ? {} : { fromVersion: from }),
        ...(o.to === undefined ? {} : { targetVersion: o.to }),
      });
      out.show(r, () => describe(r), String(r.id));
      out.note(`next: edgeml postmortem get ${r.id}`);
    });

  program
    .command('postmortem')
    .description('what happened, from the log')
    .command('get <rollout>')
    .action(async (id: string, _o: unknown, command: Command) => {
      const { out, federation } = session(command);
      const handle = federation.rollout(number(id, 'the rollout id'));
      if (out.format !== 'text') return out.show(await handle.postMortem(), () => [], id);
      const markdown = await handle.postMortemMarkdown();
      out.show(markdown, () => markdown.split('\n'), id);
    });
}
