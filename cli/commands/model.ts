/** `edgeml model` and `edgeml version`. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Architecture, ModelSummary } from '../../sdk/types.ts';
import { renderLineage } from '../lineage.ts';
import { table } from '../output.ts';
import { number, session } from './shared.ts';

export function addModelCommands(program: Command): void {
  const model = program.command('model').description('the catalogue');

  model
    .command('create <name>')
    .description('register a model; the same name again is the same model')
    .requiredOption('--framework <word>', 'pytorch, tensorflow, onnx, custom …')
    .requiredOption('--use-case <word>', 'what it is for')
    .option('--description <text>')
    .option(
      '--architecture <kind>',
      'graph to build from named tensors: mlp[:relu|tanh|sigmoid][:softmax|sigmoid|linear]',
    )
    .option('--input-dim <n>')
    .option('--hidden-dim <n>')
    .option('--output-dim <n>')
    .option('--contract <file>', 'JSON object that describes inputs and outputs')
    .addHelpText(
      'after',
      '\nExample:\n  edgeml model create spam-filter --framework custom --use-case spam --architecture mlp:relu:sigmoid --input-dim 4096 --output-dim 1',
    )
    .action(async (name: string, o: Record<string, string | undefined>, command: Command) => {
      const { out, registry } = session(command);
      const created = await registry.ensureModel({
        name,
        framework: o['framework']!, // required options: commander refuses to run without them
        useCase: o['useCase']!,
        ...(o['description'] === undefined ? {} : { description: o['description'] }),
        ...(o['architecture'] === undefined ? {} : { architecture: architectureOf(o) }),
        ...(o['contract'] === undefined
          ? {}
          : { contract: JSON.parse(readFileSync(o['contract'], 'utf8')) as Record<string, unknown> }), // the server checks it
      });
      out.show(created, () => [`model ${created.name} (${created.id})`], created.id);
      out.note(`next: edgeml train start ${created.name} --new-version 1.0.0 --init FILE`);
    });

  model
    .command('list')
    .description('models with their stable version')
    .action(async (_o: unknown, command: Command) => {
      const { out, registry } = session(command);
      const models: ModelSummary[] = [];
      for await (const m of registry.listModels()) models.push(m);
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

  model
    .command('get <model>')
    .description('one model, now or --as-of a position, an event or a time')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const m = await registry.getModel(name, asOf);
      out.show(
        m,
        () => [
          `${m.name}  ${m.id}`,
          `stable     ${m.stable_version ?? '–'}`,
          `latest     ${m.latest_version ?? '–'}`,
          `published  ${m.versions.join(', ') || '–'}`,
          `framework  ${m.framework}, for ${m.use_case || '–'}`,
        ],
        m.id,
      );
    });

  model
    .command('lineage <model>')
    .description('where each version comes from')
    .action(async (name: string, _o: unknown, command: Command) => {
      const { out, registry, asOf } = session(command);
      const lineage = await registry.lineage(name, asOf);
      out.show(lineage, () => renderLineage(lineage), lineage.model_id);
    });

  const version = program.command('version').description('versions and their files');

  version
    .command('create <model> <version>')
    .description('draft a version')
    .option('--parent <version>')
    .action(async (name: string, v: string, o: { parent?: string }, command: Command) => {
      const { out, registry } = session(command);
      const drafted = await registry.draftVersion({
        model: name,
        version: v,
        ...(o.parent === undefined ? {} : { parent: o.parent }),
      });
      out.show(drafted, () => [`${name} ${drafted.version} is ${drafted.lifecycle_state}`], drafted.version);
    });

  version.command('list <model>').action(async (name: string, _o: unknown, command: Command) => {
    const { out, registry } = session(command);
    const page = await registry.listVersions(name);
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

  version.command('get <model> <version>').action(async (name: string, v: string, _o: unknown, command: Command) => {
    const { out, registry, asOf } = session(command);
    const got = await registry.getVersion(name, v, asOf);
    out.show(
      got,
      () => [
        `${name} ${got.version} is ${got.lifecycle_state} (${got.state})`,
        `parent     ${got.parent ?? '–'}`,
        ...(got.training
          ? [
              `trained    ${got.training.rounds} rounds, ${got.training.participants} devices, run ${got.training.run_id}`,
            ]
          : []),
        ...got.files.map((f) => `file       ${f.format.padEnd(12)} ${f.sha256}  ${f.bytes} bytes`),
        ...(got.rolled_back ? [`rolled back by rollout ${got.rolled_back.rollout_id}: ${got.rolled_back.reason}`] : []),
      ],
      got.version,
    );
  });

  version
    .command('publish <model> <version>')
    .description('build, check and seal the files')
    .option('--formats <list>', 'comma list: onnx, safetensors')
    .action(async (name: string, v: string, o: { formats?: string }, command: Command) => {
      const { out, registry } = session(command);
      const bar = out.progress(`publish ${v}`);
      const published = await registry
        .publishVersion(
          { model: name, version: v, ...(o.formats === undefined ? {} : { formats: o.formats.split(',') }) },
          { onProgress: (p) => bar.update(p) },
        )
        .finally(() => bar.done()); // its timer would keep the process alive
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
}

function architectureOf(o: Record<string, string | undefined>): Architecture {
  return {
    kind: o['architecture']!, // the caller checked it
    input_dim: number(o['inputDim'] ?? '', '--input-dim'),
    ...(o['hiddenDim'] === undefined ? {} : { hidden_dim: number(o['hiddenDim'], '--hidden-dim') }),
    output_dim: number(o['outputDim'] ?? '', '--output-dim'),
  };
}
