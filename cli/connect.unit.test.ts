/** A key belongs to the address that it was made for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectAs, type ConnectFlags, type Surroundings } from './connect.ts';
import { type CliError, EXIT } from './exit.ts';
import type { Http } from '../sdk/http.ts';
import { startRecorder, type Recorder } from './recorder.fixture.ts';

let folder: string;
let recorder: Recorder;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgeml-connect-'));
  recorder = await startRecorder();
  writeFileSync(join(folder, 'local.key'), 'ek_local\n');
  stack(recorder.url);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  recorder.close();
});

function stack(url: string): void {
  mkdirSync(join(folder, '.edgeml'), { recursive: true });
  writeFileSync(join(folder, '.edgeml', 'stack.json'), JSON.stringify({ url, key_file: join(folder, 'local.key') }));
}
const from = (flags: ConnectFlags, env: Surroundings['env'] = {}) => connectAs(flags, { env, folder: join(folder) });
/** The key that a server is sent. */
async function sent(http: Http): Promise<string> {
  let key = '';
  recorder.answer((seen) => {
    key = seen.authorization;
    return false;
  });
  await http.json('GET', '/x');
  return key;
}
const usage = (call: () => unknown, why: RegExp) => {
  expect(call).toThrow(why);
  expect(call).toThrow(expect.objectContaining({ exit: EXIT.usage }) as CliError);
};

describe('the local key', () => {
  it('is for the server of its stack.json, however that is named', async () => {
    for (const flags of [{}, { url: recorder.url }, { url: `${recorder.url}/` }])
      expect(await sent(from(flags))).toBe('Bearer ek_local');
    expect(await sent(from({}, { url: recorder.url }))).toBe('Bearer ek_local');
  });

  it.each(['https://edgeml.example.com', 'http://127.0.0.1:1', 'http://127.0.0.1.evil.example:80', 'http://localhost'])(
    'is not sent to %s, which a flag or the environment names',
    (url) => {
      const refusal = /made for .* and goes nowhere else; name one with --key-file/;
      usage(() => from({ url }), refusal);
      usage(() => from({}, { url }), refusal);
    },
  );

  it('is not read where the file names a server of somewhere else', () => {
    stack('https://edgeml.example.com');
    usage(() => from({}), /not written by `npm start`/);
    usage(() => from({}, { apiKey: 'ek_mine' }), /not written by `npm start`/);
  });
});

describe('a key that a person names', () => {
  it('goes where the person says', async () => {
    writeFileSync(join(folder, 'my.key'), 'ek_mine\n');
    const url = recorder.url;
    stack('http://127.0.0.1:1');
    expect(await sent(from({ url, keyFile: join(folder, 'my.key') }))).toBe('Bearer ek_mine');
    expect(await sent(from({ url }, { apiKey: 'ek_env' }))).toBe('Bearer ek_env');
    expect(await sent(from({}, { url, apiKey: 'ek_env' }))).toBe('Bearer ek_env');
  });

  it('is one word, in a file that can be read', () => {
    const { url } = recorder;
    for (const content of ['', '\n', 'two words', 'a\nb'])
      usage(() => from({ url, keyFile: recorder.file('bad.key', content) }), /holds (no|more than one) key/);
    usage(() => from({ url, keyFile: join(folder, 'nowhere') }), /cannot be read/);
    usage(() => from({ url }, { apiKey: 'a b' }), /EDGEML_API_KEY holds/);
    usage(() => from({}, { url: 'here', apiKey: 'k' }), /EDGEML_URL is here/);
  });
});
