/**
 * Which server, and with which key: flag, environment, then the nearest `.edgeml/stack.json` upwards. The key of that file is for the
 * server of that file: it is never sent elsewhere.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readClientEnv } from '../environment.ts';
import { Http } from '../sdk/http.ts';
import { CliError, EXIT } from './exit.ts';
import { address, readInput } from './parse.ts';

export interface ConnectFlags {
  readonly url?: string;
  readonly keyFile?: string;
}

export interface Surroundings {
  readonly env: { readonly url?: string; readonly apiKey?: string };
  readonly folder: string;
}

interface StackFile {
  readonly file: string;
  readonly url: string;
  readonly keyFile: string;
}

const usage = (message: string): never => {
  throw new CliError(message, EXIT.usage);
};

function nearestStack(from: string): StackFile | undefined {
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    for (const file of [join(dir, '.edgeml', 'stack.json'), join(dir, '.edgeml', 'demo', 'stack.json')]) {
      if (existsSync(file)) return readStackFile(file);
    }
    if (dirname(dir) === dir) return undefined;
  }
}

/** Our launcher writes it whole, with an address of this machine; what says otherwise was not written by it. */
function readStackFile(file: string): StackFile {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return usage(`${file} cannot be read: name a server with --url or EDGEML_URL`);
  }
  const { url, key_file: keyFile } = Object(value) as { url?: unknown; key_file?: unknown };
  if (typeof url !== 'string' || typeof keyFile !== 'string' || !URL.canParse(url) || !isLoopback(new URL(url)))
    return usage(`${file} was not written by \`npm start\`: name a server with --url or EDGEML_URL`);
  return { file, url, keyFile };
}

const isLoopback = ({ hostname }: URL) => /^(127(\.\d+){3}|localhost|\[::1\])$/.test(hostname);

/** A key can stand in a header. */
function checkKey(key: string, from: string): string {
  if (key === '') return usage(`${from} holds no key`);
  return /^[\x21-\x7e]+$/.test(key) ? key : usage(`${from} holds more than one key, or none: it must be one word`);
}

/** @throws CliError `usage` when no server or key can be found, or the key that is found was made for another server */
export function connectAs(
  flags: ConnectFlags,
  { env, folder }: Surroundings = { env: readClientEnv(), folder: process.cwd() },
): Http {
  // What was named is enough: a file somewhere above us is not even looked at.
  const named = flags.url ?? env.url;
  const hasKey = flags.keyFile !== undefined || env.apiKey !== undefined;
  const stack = named !== undefined && hasKey ? undefined : nearestStack(folder);
  const baseUrl =
    named ?? stack?.url ?? usage('no server: start one with `npm start`, or name one with --url or EDGEML_URL');
  if (flags.url === undefined && env.url !== undefined) checkUrl(env.url);
  return new Http({ baseUrl, apiKey: keyFor(baseUrl, flags, env.apiKey, stack) });
}

function checkUrl(url: string): void {
  try {
    address(url);
  } catch (error) {
    usage(`EDGEML_URL is ${url}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function keyFor(
  baseUrl: string,
  flags: ConnectFlags,
  apiKey: string | undefined,
  stack: StackFile | undefined,
): string {
  const ways = 'name one with --key-file FILE (- reads stdin) or EDGEML_API_KEY';
  if (flags.keyFile !== undefined) {
    const key = flags.keyFile === '-' ? readFileSync(0) : readInput(flags.keyFile, '--key-file');
    return checkKey(key.toString('utf8').trim(), `--key-file ${flags.keyFile}`);
  }
  if (apiKey !== undefined) return checkKey(apiKey, 'EDGEML_API_KEY');
  if (stack === undefined) return usage(`no key: ${ways}`);
  if (new URL(stack.url).origin !== new URL(baseUrl).origin)
    return usage(
      `no key for ${baseUrl}: the one beside ${stack.file} was made for ${stack.url} and goes nowhere else; ${ways}`,
    );
  return checkKey(readInput(stack.keyFile, 'the key file').toString('utf8').trim(), stack.keyFile);
}
