/** `edgeml model` and `edgeml version`. */
import type { Command } from 'commander';
import { formatNames } from '../../domain/formats/fileFormats.ts';
import type { Progress } from '../../sdk/http.ts';
import { followOperation } from '../../sdk/operation.ts';
import type { Architecture, ModelSummary, Version } from '../../sdk/types.ts';
import { CliError, EXIT } from '../exit.ts';
import { renderLineage } from '../lineage.ts';
import { table } from '../output.ts';
import { uses } from '../globals.ts';
import { argument, list, name as oneName, readObject, requires, text, valued, whole } from '../parse.ts';
import { waiting } from '../waiting.ts';
import { session } from './shared.ts';

interface CreateOptions {
  readonly framework: string;
  readonly useCase: string;
  readonly description?: string;
  readonly architecture?: string;
  readonly inputDim?: number;
  readonly hiddenDim?: number;
  readonly outputDim?: number;
  readonly contract?: string;
}

const MODEL = argument('model', 'its name or id', oneName);
const VERSION = argument('version', 'such as 1.0.0', oneName);
const DIMENSION = whole(1);

export function addModelCommands(program: Command): void {
  const model = program.command('model').description('the catalogue');

  model
    .command('create')
    .addArgument(argument('name', 'unique in the organisation', oneName))
    .description('register a model; the same name again is the same model')
    .addOption(valued('--framework <word>', 'pytorch, tensorflow, onnx, custom …', text).makeOptionMandatory())
    .addOption(valued('--use-case <word>', 'what it is for', text).makeOptionMandatory())
    .addOption(valued('--description <text>', 'for people', text))
    .addOption(
      valued(
        '--architecture <kind>',
        'graph to build from named tensors: mlp[:relu|tanh|sigmoid][:softmax|sigmoid|linear]',
        text,
      ),
    )
    .addOption(valued('--input-dim <n>', 'width of the input', DIMENSION))
    .addOption(valued('--hidden-dim <n>', 'width of the hidden layer', DIMENSION))
    .addOption(valued('--output-dim <n>', 'width of the output', DIMENSION))
    .addOption(valued('--contract <file>', 'JSON object that describes inputs and outputs', text))
    .addHelpText(
      'after',
      '\nExample:\n  edgeml model create spam-filter --framework custom --use-case spam --architecture mlp:relu:sigmoid --input-dim 4096 --output-dim 1',
    )
    .action(async (name: string, o: CreateOptions, command: Command) => {
      requires(command, '--architecture', '--input-dim', '--hidden-dim', '--output-dim');
      const architecture = o.architecture === undefined ? undefined : architectureOf(o.architecture, o);
      const contract = o.contract === undefined ? undefined : readObject(o.contract, '--contract');
      const { out, registry } = session(command);
      const created = await registry.ensureModel({
        name,
        framework: o.framework,
        useCase: o.useCase,
        ...(o.description === undefined ? {} : { description: o.description }),
        ...(architecture === undefined ? {} : { architecture }),
        ...(contract === undefined ? {} : { contract }),
      });
      out.show(created, () => [`model ${created.name} (${created.id})`], created.id);
      for (const warning of created.warnings ?? []) out.note(warning);
      out.note(`next: edgeml train start ${created.name} --new-version 1.0.0 --init FILE`);
    });

  uses(model.command('list'), 'asOf')
    .description('models with their stable version')
    .action(async (_o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const models: ModelSummary[] = [];
      for await (const m of registry.listModels(asOf)) models.push(m);
      out.list(
        models,
        () =>
          table(
            ['NAME', 'STABLE', 'LATEST', 'VERSIONS', 'FRAMEWORK', 'USE CASE'],
            models.map((m) => [
              m.name,
              m.stable_version ?? '–',
              m.latest_version ?? '–',
              String(m.version_count),
              m.framework,
              m.use_case,
            ]),
          ),
        (m: { name: string }) => m.name,
      );
    });

  uses(model.command('get'), 'asOf')
    .addArgument(MODEL)
    .description('one model, now or --as-of a position, an event or a time')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const m = await registry.getModel(name, asOf);
      out.show(
        m,
        () => [
          `${m.name}  ${m.id}`,
          `stable     ${m.stable_version ?? '–'}`,
          `latest     ${m.latest_version ?? (m.versions.length > 0 ? '– (no release that is good)' : '–')}`,
          `published  ${m.versions.join(', ') || '–'}`,
          `framework  ${m.framework}, for ${m.use_case || '–'}`,
        ],
        m.id,
      );
    });

  uses(model.command('lineage'), 'asOf')
    .addArgument(MODEL)
    .description('where each version comes from')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const lineage = await registry.lineage(name, asOf);
      out.show(lineage, () => renderLineage(lineage), lineage.model_id);
    });

  const version = program.command('version').description('versions and their files');

  version
    .command('create')
    .addArgument(MODEL)
    .addArgument(VERSION)
    .description('draft a version')
    .addOption(valued('--parent <version>', 'the version it comes from', oneName))
    .action(async (name: string, v: string, o: { parent?: string }, command: Command) => {
      const { out, registry } = session(command);
      const drafted = await registry.draftVersion({
        model: name,
        version: v,
        ...(o.parent === undefined ? {} : { parent: o.parent }),
      });
      out.show(drafted, () => [`${name} ${drafted.version} is ${drafted.lifecycle_state}`], drafted.version);
    });

  uses(version.command('list'), 'asOf')
    .addArgument(MODEL)
    .description('the versions of a model')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const page = await registry.listVersions(name, asOf);
      out.list(
        page.items,
        () =>
          table(
            ['VERSION', 'STATE', 'PARENT'],
            page.items.map((v) => [v.version, v.state, v.parent ?? '–']),
          ),
        (v: { version: string }) => v.version,
      );
    });

  uses(version.command('get'), 'asOf')
    .addArgument(MODEL)
    .addArgument(VERSION)
    .description('one version and its files')
    .action(async (name: string, v: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const got = await registry.getVersion(name, v, asOf);
      out.show(got, () => describe(name, got), got.version);
    });

  uses(version.command('publish'), 'waits')
    .addArgument(MODEL)
    .addArgument(VERSION)
    .description('build, check and seal the files; 0 published, 6 refused')
    .addOption(valued('--formats <list>', `comma list: ${formatNames().join(', ')}`, list(text)))
    .action(async (name: string, v: string, o: { formats?: string[] }, command: Command) => {
      const { out, http, registry, flags } = session(command);
      const request = { model: name, version: v, ...(o.formats === undefined ? {} : { formats: o.formats }) };
      const bar = out.progress(`publish ${v}`);
      const limits = {
        timeoutMs: flags.timeout,
        standing: () => `${name} ${v} is not published yet`,
        comeBack: `edgeml version publish ${name} ${v}`,
      };
      const published = await waiting(limits, async (wait) => {
        const begun = await wait.ask((signal) => registry.requestPublish(request, { signal }));
        const each = { onProgress: (p: Progress) => bar.update(p), signal: wait.signal };
        if (begun.state !== 'succeeded') await wait.ask(() => followOperation(http, begun.id, each));
        return wait.ask((signal) => registry.getVersion(name, v, { signal }));
      }).finally(() => bar.done()); // its timer would keep the process alive
      out.show(
        published,
        () => [
          `${name} ${v} is ${published.lifecycle_state}`,
          ...published.files.map((f) => `  ${f.format.padEnd(12)} ${f.sha256}`),
        ],
        published.version,
      );
      out.note(`next: edgeml rollout start ${name} ${v}`);
    });

  version
    .command('cancel-publish')
    .addArgument(MODEL)
    .addArgument(VERSION)
    .description('end the publication that runs; the version may be published again')
    .addOption(valued('--reason <text>', 'recorded with it', text).makeOptionMandatory())
    .action(async (name: string, v: string, o: { reason: string }, command: Command) => {
      const { out, registry } = session(command);
      const ended = await registry.cancelPublish({ model: name, version: v, reason: o.reason });
      out.show(ended, () => [`${name} ${v} is ${ended.lifecycle_state}, its publication was ended`], ended.version);
    });
}

const describe = (name: string, v: Version): string[] => [
  `${name} ${v.version} is ${v.lifecycle_state} (${v.state})`,
  `parent     ${v.parent ?? '–'}`,
  ...(v.training
    ? [`trained    ${v.training.rounds} rounds, ${v.training.participants} devices, run ${v.training.run_id}`]
    : []),
  ...v.files.map((f) => `file       ${f.format.padEnd(12)} ${f.sha256}  ${f.bytes} bytes`),
  ...(v.publication?.state === 'refused'
    ? [`refused    publication ${v.publication.n}: ${v.publication.code ?? ''}`]
    : []),
  ...(v.rolled_back ? [`rolled back by rollout ${v.rolled_back.rollout_id}: ${v.rolled_back.reason}`] : []),
];

function architectureOf(kind: string, o: CreateOptions): Architecture {
  if (o.inputDim === undefined || o.outputDim === undefined)
    throw new CliError('--architecture needs --input-dim and --output-dim', EXIT.usage);
  return {
    kind,
    input_dim: o.inputDim,
    ...(o.hiddenDim === undefined ? {} : { hidden_dim: o.hiddenDim }),
    output_dim: o.outputDim,
  };
}
