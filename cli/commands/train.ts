/** `edgeml train`: federated runs. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { EdgeMLError } from '../../sdk/errors.ts';
import { follow } from '../../sdk/operation.ts';
import type { Operation, Training } from '../../sdk/types.ts';
import { CliError, EXIT } from '../exit.ts';
import { table } from '../output.ts';
import { figure, number, session, type Session } from './shared.ts';

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
];

async function followRun(s: Session, runId: string): Promise<Operation> {
  const bar = s.out.progress('train');
  try {
    return await follow(s.http, `training:${runId}`, { onProgress: (p) => bar.update(p) });
  } catch (error) {
    if (error instanceof EdgeMLError && error.status === 409) throw new CliError(error.message, EXIT.badOutcome);
    throw error;
  } finally {
    bar.done();
  }
}

export function addTrainCommands(program: Command): void {
  const train = program.command('train').description('federated training runs');

  train
    .command('start <model>')
    .description('ask for a run; devices do the work')
    .requiredOption('--new-version <version>')
    .option('--base <version>', 'default: the latest published version below the new one')
    .option('--init <file>', 'safetensors with the first weights, when the model has no version yet')
    .option('--rounds <n>')
    .option('--min-updates <n>', 'quorum of every round')
    .option('--goal <n>', 'updates that close a round')
    .option('--evaluation <file>', 'safetensors with held-out `input` and `labels`')
    .option('--publish', 'publish the result')
    .option('--detach', 'do not follow the run')
    .addHelpText(
      'after',
      '\nExamples:\n  edgeml train start spam-filter --new-version 1.0.0 --init zero.safetensors --rounds 5 --min-updates 20\n  edgeml train start spam-filter --new-version 1.1.0 --rounds 3 --publish',
    )
    .action(async (model: string, o: Record<string, string | undefined>, command: Command) => {
      const s = session(command);
      const put = async (file: string) => (await s.registry.putBlob(readFileSync(file))).sha256;
      const operation = await s.federation.train(
        {
          model,
          newVersion: o['newVersion']!, // required option
          ...(o['base'] === undefined ? {} : { baseVersion: o['base'] }),
          ...(o['init'] === undefined ? {} : { initArtifact: await put(o['init']) }),
          ...(o['evaluation'] === undefined ? {} : { evaluationSet: await put(o['evaluation']) }),
          ...(o['rounds'] === undefined ? {} : { rounds: number(o['rounds'], '--rounds') }),
          ...(o['minUpdates'] === undefined ? {} : { minUpdates: number(o['minUpdates'], '--min-updates') }),
          ...(o['goal'] === undefined ? {} : { goal: number(o['goal'], '--goal') }),
          ...(o['publish'] === undefined ? {} : { publish: true }),
        },
        { wait: false },
      );
      const runId = operation.id.replace('training:', '');
      s.out.note(`run ${runId} is open; Ctrl-C leaves it running, \`edgeml train watch ${runId}\` comes back`);
      const result = o['detach'] ? operation : await followRun(s, runId);
      s.out.show(result, () => [`${operation.id} ${result.state}`], runId);
    });

  train.command('get <run>').action(async (run: string, _o: unknown, command: Command) => {
    const { out, federation, asOf } = session(command);
    const t = await federation.training(run, asOf);
    out.show(t, () => describe(t), t.run_id);
  });

  train
    .command('rounds <run>')
    .description('loss and accuracy of each round')
    .action(async (run: string, _o: unknown, command: Command) => {
      const { out, federation } = session(command);
      const { items } = await federation.trainingRounds(run);
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

  train.command('watch <run>').action(async (run: string, _o: unknown, command: Command) => {
    const s = session(command);
    const result = await followRun(s, run);
    s.out.show(result, () => [`training:${run} ${result.state}`], run);
  });

  for (const [verb, text] of [
    ['pause', 'open no further round'],
    ['resume', 'go on'],
    ['stop', "end now and keep the last round's model"],
    ['abort', 'end now and keep nothing'],
  ] as const) {
    train
      .command(`${verb} <run>`)
      .description(text)
      .option('--reason <text>')
      .action(async (run: string, o: { reason?: string }, command: Command) => {
        const { out, federation } = session(command);
        if (verb !== 'resume' && verb !== 'stop' && !o.reason) throw new CliError(`${verb} needs --reason`, EXIT.usage);
        const t = await federation.controlTraining(run, verb, o.reason);
        out.show(t, () => describe(t), t.run_id);
      });
  }
}
