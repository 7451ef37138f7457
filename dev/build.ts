/**
 * `npm run build`: what is installed somewhere else, made anew in `dist/`.
 *
 *   dist/          server and worker as JavaScript, with their SQL and the bundle of the workflows; `npm ci --omit=dev` beside it runs it
 *   dist/client/   a package of its own: SDK, command line and types, without a native dependency
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE, bundleWorkflows } from '../activities/runWorker.ts';
import { CHECKOUT } from './reach.ts';

const DIST = join(CHECKOUT, 'dist');
const CLIENT = join(DIST, 'client');
const here = (...parts: string[]) => join(CHECKOUT, ...parts);
const say = (line: string) => void process.stdout.write(`${line}\n`);

interface Manifest {
  readonly version: string;
  readonly engines: object;
  readonly dependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(here('package.json'), 'utf8')) as Manifest; // our own file
const writeManifest = (folder: string, members: object) =>
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(members, null, 2)}\n`);

function compile(project: string): void {
  const tsc = realpathSync(here('node_modules', '.bin', 'tsc'));
  execFileSync(process.execPath, [tsc, '--project', here(project)], { cwd: CHECKOUT, stdio: 'inherit' });
}

/** Server and worker. */
async function buildProduct(): Promise<void> {
  compile('tsconfig.build.json');
  cpSync(here('store', 'sql'), join(DIST, 'store', 'sql'), {
    recursive: true,
    filter: (path) => !/\.tsx?$/.test(path),
  });
  writeFileSync(join(DIST, 'workflows', BUNDLE), (await bundleWorkflows()).code);
  const { version, engines, dependencies } = manifest;
  writeManifest(DIST, {
    name: 'edgeml-lifecycle-server',
    version,
    private: true,
    type: 'module',
    engines,
    dependencies,
  });
}

/** Everything inlined but Node's own modules: nothing else is installed with it, and an older library beside it does not matter. */
async function buildClient(): Promise<void> {
  const common = {
    bundle: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'inline',
    logLevel: 'warning',
  } as const;
  await build({
    ...common,
    entryPoints: [here('sdk', 'index.ts')],
    outfile: join(CLIENT, 'index.js'),
    platform: 'neutral',
    mainFields: ['module', 'main'],
  });
  await build({
    ...common,
    entryPoints: [here('cli', 'run.ts')],
    outfile: join(CLIENT, 'cli.js'),
    platform: 'node',
    minifySyntax: true,
    // Libraries in CommonJS ask for Node's modules by `require`.
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
  });
  compile('tsconfig.client.json');
  const { version, engines, dependencies } = manifest;
  writeManifest(CLIENT, {
    name: 'edgeml-lifecycle',
    version,
    description: 'EdgeML Lifecycle: the SDK and the edgeml command.',
    type: 'module',
    engines,
    bin: { edgeml: './cli.js' },
    exports: { '.': { types: './types/sdk/index.d.ts', default: './index.js' }, './package.json': './package.json' },
    files: ['index.js', 'cli.js', 'types'],
    sideEffects: false,
    // Types name shapes of this library; nothing of it runs.
    dependencies: { typebox: dependencies['typebox'] },
  });
}

rmSync(DIST, { recursive: true, force: true });
await buildProduct();
say('dist/: node server.js, node worker.js (after npm ci --omit=dev)');
await buildClient();
say('dist/client/: npm pack, or npm install <this folder>');
