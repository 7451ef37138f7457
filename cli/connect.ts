/** Which server, and with which key: flag, environment, then the nearest `.edgeml/stack.json` upwards. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readClientEnv } from '../config.ts';
import { Http } from '../sdk/http.ts';
import { CliError, EXIT } from './exit.ts';

export interface ConnectFlags {
  readonly url?: string;
  readonly keyFile?: string;
}

interface StackFile {
  readonly url: string;
  readonly key_file: string;
}

function nearestStack(from: string): StackFile | undefined {
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    for (const file of [join(dir, '.edgeml', 'stack.json'), join(dir, '.edgeml', 'demo', 'stack.json')]) {
      // Written by our launcher, by rename, so it is whole whenever it exists.
      if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as StackFile;
    }
    if (dirname(dir) === dir) return undefined;
  }
}

const readKey = (file: string) => readFileSync(file === '-' ? 0 : file, 'utf8').trim();

/** @throws CliError `usage` when no server or key can be found, with the ways to name them */
export function connect(flags: ConnectFlags): Http {
  const env = readClientEnv();
  const stack = nearestStack(process.cwd());
  const baseUrl = flags.url ?? env.url ?? stack?.url;
  if (!baseUrl) {
    throw new CliError('no server: start one with `npm start`, or name one with --url or EDGEML_URL', EXIT.usage);
  }
  const apiKey = flags.keyFile ? readKey(flags.keyFile) : (env.apiKey ?? (stack ? readKey(stack.key_file) : undefined));
  if (!apiKey) {
    throw new CliError('no key: name one with --key-file FILE (- reads stdin) or EDGEML_API_KEY', EXIT.usage);
  }
  return new Http({ baseUrl, apiKey });
}
