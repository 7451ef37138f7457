/** Runs the command line in this process against a recorder of requests: what a flag does to the request is seen, nothing is acted out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { main } from './main.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string;
  readonly accept: string;
  readonly body: unknown;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly seen: readonly Seen[];
}

export interface Recorder {
  readonly url: string;
  readonly folder: string;
  /** Writes a file into the folder. @returns its path */
  file(name: string, content: string | Uint8Array): string;
  /** Changes what resources say of themselves, such as `{ status: 'paused' }`. */
  stand(how: Readonly<Record<string, unknown>>): void;
  /** Handles the next requests itself, until it says that it does not. */
  answer(handle: ((seen: Seen, response: ServerResponse) => boolean) | undefined): void;
  /** @param options.program the command, unless a test brings its own */
  run(argv: readonly string[], options?: { readonly terminal?: boolean; readonly program?: Command }): Promise<Ran>;
  close(): void;
}

/** Every member that some command reads, so that each goes through to its end. */
const RESOURCE = {
  ...{ id: '7', name: 'm', model_id: 'm', version: '1.0.0', run_id: 'r', stream: 's', key: 'ek_x', roles: ['viewer'] },
  ...{ status: 'completed', state: 'succeeded', lifecycle_state: 'Published', kind: 'training' },
  ...{ percent_now: 100, stage: 0, stages: [{}], rounds_done: 1, rounds_planned: 1, stream_version: 1 },
  ...{ ended: { kind: 'succeeded' }, versions: [], files: [], nodes: [], events: [], position: 9, next_cursor: null },
  ...{
    progress: { done: 1, total: 1, unit: 'rounds', message: 'x' },
    stable_version: '1.0.0',
    org_id: 'o',
    admin_key: { id: 'k', key: 'ek_y' },
    created_at: 't',
    key_id: 'k',
    root: 'aa',
    text: 'log/1\n0\nAA=\n',
    guards: [],
    preflight: null,
  },
};
const ITEM = {
  ...RESOURCE,
  ...{ position: 10, recorded_at: 't', type: 'F', actor: { kind: 'key', id: 'k' }, event: { id: 'e', actor: {} } },
  ...{ version_count: 1, framework: 'custom', use_case: 'x', last4: 'abcd' },
};
const RESULT = { result: { passed: true, findings: [], head: null, root: null, steps: [] } };

export async function startRecorder(): Promise<Recorder> {
  const folder = mkdtempSync(join(tmpdir(), 'edgeml-cli-'));
  let standing: Readonly<Record<string, unknown>> = {};
  let handle: ((seen: Seen, response: ServerResponse) => boolean) | undefined;
  let seen: Seen[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://recorder');
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const bytes = Buffer.concat(parts);
      const isJson = request.headers['content-type'] === 'application/json';
      const one: Seen = {
        method: request.method ?? '',
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        authorization: request.headers.authorization ?? '',
        accept: request.headers.accept ?? '',
        body: isJson ? (JSON.parse(bytes.toString()) as unknown) : bytes.toString(),
      };
      seen.push(one);
      if (handle?.(one, response)) return;
      const first = [null, '3', '10'].includes(url.searchParams.get('from'));
      const items = first ? [{ ...ITEM, ...standing }] : [];
      const begun =
        one.method === 'POST' && /\/(train|publish)$/.test(one.path) ? { id: 'training:r', state: 'running' } : {};
      const answer = /\/(verify|rebuild)$/.test(url.pathname) ? RESULT : { ...RESOURCE, items, ...begun, ...standing };
      if (answer === RESULT) response.write('{"progress":{"phase":"log","done":1,"total":2}}\n');
      response.end(one.accept.includes('markdown') ? '# text' : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  const url = `http://127.0.0.1:${port}`;
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, 'ek_given\n');

  return {
    url,
    folder,
    file: (name, content) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    },
    stand: (how) => (standing = how),
    answer: (by) => (handle = by),
    run: async (argv, { terminal = false, program } = {}) => {
      seen = [];
      const printed = { out: '', err: '' };
      const restore = [
        capture(process.stdout, (t) => (printed.out += t)),
        capture(process.stderr, (t) => (printed.err += t)),
      ];
      const wasTerminal = process.stderr.isTTY;
      process.stderr.isTTY = terminal;
      const named = (flag: string, value: string) => (argv.includes(flag) ? [] : [flag, value]);
      try {
        const code = await main([...named('--url', url), ...named('--key-file', keyFile), ...argv], program);
        return { code, ...printed, seen };
      } finally {
        process.stderr.isTTY = wasTerminal;
        restore.forEach((undo) => undo());
      }
    },
    close: () => {
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function capture(stream: NodeJS.WriteStream, take: (text: string) => void): () => void {
  const { write } = stream;
  stream.write = (chunk: string | Uint8Array) => {
    take(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
    return true;
  }; // commands write text without a callback
  return () => (stream.write = write);
}
