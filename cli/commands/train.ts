/** `edgeml train`: federated runs. */
import type { Command } from 'commander';
import { OperationFailed } from '../../sdk/operation.ts';
import type { Operation, Training } from '../../sdk/types.ts';
import { EXIT } from '../exit.ts';
import { refuseFlag, uses } from '../globals.ts';
import { table } from '../output.ts';
import { argument, name, readInput, text, valued, whole } from '../parse.ts';
import { waiting } from '../waiting.ts';
import { figure, session, type Session } from './shared.ts';

const POLL_MS = 300;

interface StartOptions {
  readonly newVersion: string;
  readonly base?: string;
  readonly init?: string;
  readonly rounds?: number;
  readonly minUpdates?: number;
  readonly goal?: number;
  readonly evaluation?: string;
  readonly publish?: boolean;
  readonly detach?: boolean;
}

const RUN = argument('run', 'its id', name);

const describe = (t: Training): string[] => [
  `run ${t.run_id}: ${t.version} is ${t.status}, round ${t.rounds_done} of ${t.rounds_planned}`,
  ...(t.current
    ? [`open       round ${t.round}.${t.attempt}: ${t.current.accepted} updates, needs ${t.current.min_updates}`]
    : []),
  ...(t.last
    ? [
        `last       round ${t.last.round}: loss ${figure(t.last.loss)}, accuracy ${figure(t.last.accuracy)}` +
          (t.last.held_out ? `; held out ${figure(t.last.held_out.accuracy)} of ${t.last.held_out.n}` : ''),
      ]
    : []),
  ...(t.paused ? [`paused     ${t.paused.reason} (by ${t.paused.by}, ${t.paused.at})`] : []),
  ...(t.ended?.reason ? [`${t.ended.kind.padEnd(10)} ${t.ended.reason} (${t.ended.at})`] : []),
];

/**
 * Follows a run until it ends or is paused, and sets the exit code: 0 succeeded, 4 paused.
 *
 * @throws OperationFailed (exit 3) if it was aborted; CliError `timeout`
 */
async function followRun(s: Session, runId: string): Promise<void> {
  const bar = s.out.progress('train');
  let standing = 'the run goes on';
  const limits = { timeoutMs: s.flags.timeout, standing: () => standing, comeBack: `edgeml train watch ${runId}` };
  const operation = await waiting(limits, async (wait) => {
    for (;;) {
      const run = await wait.ask((signal) => s.federation.training(runId, { signal }));
      standing = `run ${runId} is ${run.status}, round ${run.rounds_done} of ${run.rounds_planned}`;
      bar.update({ phase: run.status, done: run.rounds_done, total: run.rounds_planned, unit: 'rounds' });
      if (run.status === 'paused' || run.ended) {
        const path = `/lifecycle/v1/operations/${encodeURIComponent(`training:${runId}`)}`;
        const last = await wait.ask((signal) => s.http.json<Operation>('GET', path, { signal }));
        if (last.state === 'failed' || last.state === 'cancelled') throw new OperationFailed(last);
        // It may have been resumed between the two looks; then it is followed on.
        if (last.state === 'succeeded' || run.status === 'paused') return { last, run };
      }
      await wait.pause(POLL_MS);
    }
  }).finally(() => bar.done());
  const { last, run } = operation;
  const state = run.status === 'paused' ? 'paused' : last.state;
  const because = run.paused ? [`paused     ${run.paused.reason} (by ${run.paused.by}, ${run.paused.at})`] : [];
  s.out.show(last, () => [`${last.id} ${state}`, ...because], runId);
  if (state !== 'paused') return;
  s.out.note(`next: edgeml train resume ${runId}`);
  process.exitCode = EXIT.held;
}

export function addTrainCommands(program: Command): void {
  const train = program.command('train').description('federated training runs');

  uses(train.command('start'), 'waits')
    .addArgument(argument('model', 'its name or id', name))
    .description('ask for a run; devices do the work; 0 succeeded, 3 aborted, 4 paused')
    .addOption(valued('--new-version <version>', 'the version to make', name).makeOptionMandatory())
    .addOption(valued('--base <version>', 'default: the latest published version below the new one', name))
    .addOption(valued('--init <file>', 'safetensors with the first weights, when the model has no version yet', text))
    .addOption(valued('--rounds <n>', 'how many', whole(1)))
    .addOption(valued('--min-updates <n>', 'quorum of every round', whole(1)))
    .addOption(valued('--goal <n>', 'updates that close a round', whole(1)))
    .addOption(valued('--evaluation <file>', 'safetensors with held-out `input` and `labels`', text))
    .option('--publish', 'publish the result')
    .option('--detach', 'do not follow the run')
    .addHelpText(
      'after',
      '\nExamples:\n  edgeml train start spam-filter --new-version 1.0.0 --init zero.safetensors --rounds 5 --min-updates 20\n  edgeml train start spam-filter --new-version 1.1.0 --rounds 3 --publish',
    )
    .action(async (model: string, o: StartOptions, command: Command) => {
      if (o.detach)
        for (const flag of ['timeout', 'progress'] as const)
          refuseFlag(command, flag, 'with --detach it does not wait');
      const s = session(command);
      const files = [o.init, o.evaluation].map((file, i) =>
        file === undefined ? undefined : readInput(file, i === 0 ? '--init' : '--evaluation'),
      );
      const [init, evaluation] = await Promise.all(
        files.map(async (bytes) => (bytes === undefined ? undefined : (await s.registry.putBlob(bytes)).sha256)),
      );
      const operation = await s.federation.train(
        {
          model,
          newVersion: o.newVersion,
          ...(o.base === undefined ? {} : { baseVersion: o.base }),
          ...(init === undefined ? {} : { initArtifact: init }),
          ...(evaluation === undefined ? {} : { evaluationSet: evaluation }),
          ...(o.rounds === undefined ? {} : { rounds: o.rounds }),
          ...(o.minUpdates === undefined ? {} : { minUpdates: o.minUpdates }),
          ...(o.goal === undefined ? {} : { goal: o.goal }),
          ...(o.publish ? { publish: true } : {}),
        },
        { wait: false },
      );
      const runId = operation.id.replace('training:', '');
      s.out.note(`run ${runId} is open; Ctrl-C leaves it running, \`edgeml train watch ${runId}\` comes back`);
      if (!o.detach) return followRun(s, runId);
      s.out.show(operation, () => [`${operation.id} ${operation.state}`], runId);
    });

  uses(train.command('get'), 'asOf')
    .addArgument(RUN)
    .description('one run')
    .action(async (run: string, _o: unknown, command: Command) => {
      const { out, federation, asOf } = session(command);
      const t = await federation.training(run, asOf);
      out.show(t, () => describe(t), t.run_id);
    });

  uses(train.command('rounds'), 'asOf')
    .addArgument(RUN)
    .description('loss and accuracy of each round')
    .action(async (run: string, _o: unknown, command: Command) => {
      const { out, federation, asOf } = session(command);
      const { items } = await federation.trainingRounds(run, asOf);
      out.list(
        items,
        () =>
          table(
            ['ROUND', 'STATE', 'UPDATES', 'SAMPLES', 'LOSS', 'ACCURACY', 'HELD OUT', 'MODEL'],
            items.map((r) => [
              `${r.round}.${r.attempt}`,
              r.state,
              String(r.accepted ?? 0),
              String(r.samples ?? 0),
              figure(r.loss),
              figure(r.accuracy),
              figure(r.held_out?.accuracy),
              r.model_sha?.slice(0, 12) ?? '–',
            ]),
          ),
        (r: { round: number }) => String(r.round),
      );
    });

  uses(train.command('watch'), 'waits')
    .addArgument(RUN)
    .description('follow a run: 0 succeeded, 3 aborted, 4 paused')
    .action((run: string, _o: unknown, command: Command) => followRun(session(command), run));

  for (const [verb, about, needsReason] of [
    ['pause', 'open no further round', true],
    ['resume', 'go on', false],
    ['stop', "end now and keep the last round's model", false],
    ['abort', 'end now and keep nothing', true],
  ] as const) {
    train
      .command(verb)
      .addArgument(RUN)
      .description(about)
      .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory(needsReason))
      .action(async (run: string, o: { reason?: string }, command: Command) => {
        const { out, federation } = session(command);
        const t = await federation.controlTraining(run, verb, o.reason);
        out.show(t, () => describe(t), t.run_id);
      });
  }
}
