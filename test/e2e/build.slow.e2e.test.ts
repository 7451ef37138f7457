/** What `npm run build` makes, away from the checkout: server and worker run without TypeScript, and the client's package is used against them. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childEnvironment } from '../../config.ts';
import { testHome } from '../support/services.ts';
import { startProduct, type Product } from './stack.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const DIST = join(ROOT, 'dist');
/** What the image leaves out, or would not need. */
const NOT_INSTALLED = new Set(['tsx', 'esbuild', 'typescript', 'vitest', '.bin', 'edgeml-lifecycle']);

let app: string;
let user: string;
let product: Product;

beforeAll(async () => {
  await run(process.execPath, [join('dev', 'run.mjs'), join('dev', 'build.ts')], { cwd: ROOT });
  // As the image has it: the build, and packages beside it.
  app = testHome('app');
  cpSync(DIST, app, { recursive: true, filter: (path) => path !== join(DIST, 'client') });
  mkdirSync(join(app, 'node_modules'));
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((one) => !NOT_INSTALLED.has(one)))
    symlinkSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name));
  const commands = {
    server: { args: ['--enable-source-maps', join(app, 'server.js')] },
    worker: { args: ['--enable-source-maps', join(app, 'worker.js')] },
  };
  product = await startProduct('build', [], { commands });

  // Away from the checkout, where its packages would be found.
  user = join(tmpdir(), `edgeml-client-${process.pid}`);
  mkdirSync(user);
  writeFileSync(join(user, 'package.json'), '{"type":"module","private":true}');
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', user], { cwd: join(DIST, 'client') });
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${stdout.trim()}`], { cwd: user });
}, 300_000);
afterAll(async () => {
  await product?.end();
  if (user) rmSync(user, { recursive: true, force: true });
});

const env = () => childEnvironment({ EDGEML_URL: product.stack.url, EDGEML_API_KEY: product.adminKey });
const edgeml = async (...args: string[]) =>
  (await run(process.execPath, [join(user, 'node_modules', '.bin', 'edgeml'), ...args], { cwd: user, env: env() }))
    .stdout;

describe('the server and the worker of a build', () => {
  it('are JavaScript alone', () => {
    const files = readdirSync(app, { recursive: true, encoding: 'utf8' }).filter(
      (path) => !path.startsWith('node_modules'),
    );
    expect(files.filter((path) => /\.(ts|tsx)$/.test(path))).toEqual([]);
    expect(files).toEqual(expect.arrayContaining(['server.js', 'worker.js', 'followers.js', 'audit/child.js']));
  });

  it('make, list and audit', async () => {
    expect(await (await fetch(`${product.stack.url}/readyz?verbose`)).json()).toMatchObject({ status: 'ok' });
    await product.client.registry.ensureModel({ name: 'built', framework: 'onnx', useCase: 'test' });
    expect(await product.audit.verify({})).toMatchObject({ passed: true });
  });
});

describe('the package of the client', () => {
  it('has no file but its own, and installs nothing native', () => {
    const installed = readdirSync(join(user, 'node_modules')).filter((name) => !name.startsWith('.'));
    expect(installed.sort()).toEqual(['edgeml-lifecycle', 'typebox']);
    expect(readFileSync(join(user, 'node_modules', 'edgeml-lifecycle', 'index.js'), 'utf8')).not.toMatch(
      /from ['"](node:|\.\.?\/)/,
    );
  });

  it('runs the command line', async () => {
    await edgeml('model', 'create', 'from-the-package', '--framework', 'onnx', '--use-case', 'test');
    expect(await edgeml('model', 'list')).toContain('from-the-package');
  });

  it('is imported, and typed', async () => {
    writeFileSync(
      join(user, 'use.ts'),
      `import { connect, Device, type Model } from 'edgeml-lifecycle';
       const { registry } = connect({ baseUrl: process.argv[2]!, apiKey: process.argv[3]! });
       const made: Model = await registry.ensureModel({ name: 'typed', framework: 'onnx', useCase: 'test' });
       const device = new Device({ baseUrl: process.argv[2]!, apiKey: process.argv[3]!, deviceIdentifier: 'd', platform: 'ios' });
       await device.id();
       // @ts-expect-error a model has no such member
       made.nothing;
       console.log(made.name);`,
    );
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const types = ['--typeRoots', join(ROOT, 'node_modules', '@types')];
    await run(process.execPath, [tsc, ...options, ...types, 'use.ts'], { cwd: user });
    const { stdout } = await run(process.execPath, ['use.js', product.stack.url, product.adminKey], { cwd: user });
    expect(stdout.trim()).toBe('typed');
  });
});
