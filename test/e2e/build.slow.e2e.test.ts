/** What `npm run build` makes, away from the checkout: the image's own commands, and the client's package in Node and in a browser. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childEnvironment } from '../../environment.ts';
import { encodeModel } from '../../sdk/index.ts';
import { openBrowser } from '../support/browser.ts';
import { buildImage, composeServices, type Image } from '../support/image.ts';
import { servePages, type Pages } from '../support/pages.ts';
import { eventually, startProduct, type Product } from './stack.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

/** Away from the checkout, where its packages would be found. */
const away = join(tmpdir(), `edgeml-build-${process.pid}`);
const user = join(away, 'user');
let image: Image;
let product: Product;
let pages: Pages;
let browser: Browser;

beforeAll(async () => {
  image = await buildImage(away);
  const [program, ...flags] = image.entrypoint;
  expect(program).toBe('node');

  mkdirSync(user);
  writeFileSync(join(user, 'package.json'), '{"type":"module","private":true}');
  const client = join(image.stages.get('build')!, 'dist', 'client');
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', user], { cwd: client });
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${stdout.trim()}`], { cwd: user });
  pages = await servePages(user);
  browser = await openBrowser();

  const { server, worker } = composeServices();
  const as = (service = server) => ({ args: [...flags, ...service!.command], cwd: image.app });
  const env = { ...image.env, EDGEML_CORS_ORIGINS: pages.origin };
  product = await startProduct('build', [], { env, commands: { server: as(server), worker: as(worker) } });
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await product?.end();
  rmSync(away, { recursive: true, force: true });
});

const env = () => childEnvironment({ EDGEML_URL: product.stack.url, EDGEML_API_KEY: product.adminKey });
const edgeml = async (...args: string[]) =>
  (await run(process.execPath, [join(user, 'node_modules', '.bin', 'edgeml'), ...args], { cwd: user, env: env() }))
    .stdout;

describe('the image', () => {
  it('is JavaScript alone, with no package that only builds', () => {
    const files = readdirSync(image.app, { recursive: true, encoding: 'utf8' });
    const own = files.filter((path) => !path.startsWith('node_modules') && !path.startsWith('client'));
    expect(own.filter((path) => /\.(ts|tsx)$/.test(path))).toEqual([]);
    expect(own).toEqual(expect.arrayContaining(['server.js', 'worker.js', 'followers.js', 'audit/child.js']));
    for (const name of ['typescript', 'vitest', 'playwright-core']) expect(files).not.toContain(`node_modules/${name}`);
  });

  it('runs the server unless another command is given', () => {
    const { server, worker, ...others } = composeServices();
    expect(image.cmd).toEqual(server?.command);
    expect(worker?.command).toHaveLength(1);
    expect(others).toEqual({});
  });

  it('makes, lists and audits', async () => {
    expect(await (await fetch(`${product.stack.url}/readyz?verbose`)).json()).toMatchObject({ status: 'ok' });
    await product.client.registry.ensureModel({ name: 'built', framework: 'onnx', useCase: 'test' });
    expect(await product.audit.verify({})).toMatchObject({ passed: true });
  });

  it('is asked whether it is healthy, by what it has', async () => {
    const [kind, program, ...args] = composeServices()['server']!.healthcheck!;
    expect([kind, program]).toEqual(['CMD', 'node']);
    const ask = (port: number) =>
      run(
        process.execPath,
        args.map((one) => one.replaceAll('7400', String(port))),
        { cwd: image.app },
      );
    await ask(product.stack.ports.api);
    await expect(ask(1)).rejects.toMatchObject({ code: 1 });
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

const MODEL = 'in-a-browser';
/** A web page's own program. It answers what the test asks through `globalThis`. */
const PROGRAM = `
import { Device } from 'edgeml-lifecycle';
let device;
globalThis.register = (options) => (device = new Device({ ...options, platform: 'web' })).id();
globalThis.train = async () => (await device.train((base) => ({
  delta: new Map([...base].map(([name, t]) => [name, { shape: t.shape, data: t.data.map((_, i) => 0.01 * (i + 1)) }])),
  samples: 10,
}))) !== null;
globalThis.use = async (model) => {
  const version = (await device.assignment(model))?.version;
  if (version === undefined) return undefined;
  const { length } = await device.download(model, version);
  device.report(model, version, { ok: true, latencyMs: 5 });
  return { version, length, reports: await device.flush() };
};
`;
const HTML = {
  'prebuilt.html': `<script type="importmap">{"imports":{"edgeml-lifecycle":"/node_modules/edgeml-lifecycle/index.js"}}</script>
    <script type="module" src="/app.js"></script>`,
  'bundled.html': '<script type="module" src="/app.bundle.js"></script>',
};

describe('the package in a browser', { timeout: 120_000 }, () => {
  let deviceKey: string;
  const faults: string[] = [];

  /** A page whose program has loaded, with a device of that name. */
  async function open(
    file: keyof typeof HTML,
    name: string,
    origin = pages.origin,
  ): Promise<[Page, () => Promise<string>]> {
    const page = await browser.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(`${origin}/${file}`, { waitUntil: 'load' });
    await page.waitForFunction('globalThis.register !== undefined');
    const options = { baseUrl: product.stack.url, apiKey: deviceKey, deviceIdentifier: name, attempts: 1 };
    return [page, () => page.evaluate<string>(`register(${JSON.stringify(options)})`)];
  }

  beforeAll(async () => {
    writeFileSync(join(user, 'app.js'), PROGRAM);
    for (const [file, html] of Object.entries(HTML)) writeFileSync(join(user, file), `<!doctype html>${html}`);
    // As a page of the user's own is made; a module of Node in it would be refused.
    await build({
      absWorkingDir: user,
      entryPoints: ['app.js'],
      outfile: 'app.bundle.js',
      bundle: true,
      format: 'esm',
      platform: 'browser',
      logLevel: 'silent',
    });
    deviceKey = (await product.audit.createKey({ name: 'pages', roles: ['device'] })).key;

    // Trained by a page, in one round, and in force for every device.
    const { registry, federation } = product.client;
    const architecture = { kind: 'mlp:relu:sigmoid', input_dim: 4, output_dim: 1 } as const;
    await registry.ensureModel({ name: MODEL, framework: 'custom', useCase: 'test', architecture });
    const weights = new Map([
      ['fc.bias', { shape: [1], data: new Float32Array([0.5]) }],
      ['fc.weight', { shape: [1, 4], data: new Float32Array([1, -1, 0.5, 2]) }],
    ]);
    const { sha256 } = await registry.putBlob(encodeModel(weights));
    const once = { rounds: 1, minUpdates: 1, goal: 1, publish: true };
    await federation.train({ model: MODEL, newVersion: '1.0.0', initArtifact: sha256, ...once }, { wait: false });
    const [page, register] = await open('prebuilt.html', 'trainer');
    await register();
    await eventually(async () => (await page.evaluate<boolean>('train()')) || undefined);
    await eventually(async () =>
      (await registry.getVersion(MODEL, '1.0.0')).lifecycle_state === 'Published' ? true : undefined,
    );
    await federation.deploy({ model: MODEL, version: '1.0.0', stages: [{ percent: 100, ramp: '0s' }] });
  }, 120_000);

  it.each(Object.keys(HTML) as (keyof typeof HTML)[])(
    'registers, downloads what it is to run, and reports: %s',
    async (file) => {
      const [page, register] = await open(file, file);
      const id = await register();
      type Use = { version: string; length: number; reports: unknown[] };
      const used = await eventually(() => page.evaluate<Use | undefined>(`use('${MODEL}')`));
      expect(used).toMatchObject({ version: '1.0.0', reports: [{ duplicate: false, attributed: { arm: 'canary' } }] });
      expect(used.length).toBeGreaterThan(0);
      // Another of that identifier is the same device, and the API tells what it gets.
      const why = await product.client.http.json('GET', `/lifecycle/v1/devices/${id}/models/${MODEL}/why`);
      expect(why).toMatchObject({ version: '1.0.0' });
      expect(await (await open(file, file))[1]()).toBe(id);
      expect(faults).toEqual([]);
    },
  );

  it('is kept out at an origin that is not named', async () => {
    const [, register] = await open('prebuilt.html', 'stranger', pages.origin.replace('127.0.0.1', 'localhost'));
    await expect(register()).rejects.toThrow(/could not be reached/);
  });
});
