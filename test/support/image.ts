/**
 * The image without Docker: the instructions of `Dockerfile`, carried out in folders, and the commands of `docker-compose.yml`. What this file
 * does not know of those two is an error, so that a change of them is tried or told.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { childEnvironment } from '../../environment.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

export interface Image {
  /** What stands for `/app` in the last stage, and in those with a name. */
  readonly app: string;
  readonly stages: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
}

/** Parts of the base image that no folder can stand for. */
const OF_THE_SYSTEM = new Set(['USER', 'VOLUME', 'EXPOSE']);

/** Instructions with their text, lines joined, comments gone. */
function instructions(text: string): (readonly [name: string, rest: string])[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) throw new Error(`no instruction: ${line}`);
    return [name, rest] as const;
  });
}

/** Whether a path of the checkout is part of the build. Knows names at the top, and suffixes by `**`. */
function included(): (path: string) => boolean {
  const patterns = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const top = new Set(patterns.filter((one) => !one.includes('*')));
  const ends = patterns.filter((one) => one.startsWith('**/*')).map((one) => one.slice(4));
  if (top.size + ends.length !== patterns.length) throw new Error('.dockerignore has a form that is not known here');
  return (path) => {
    const [first = ''] = relative(ROOT, path).split('/');
    return !top.has(first) && !ends.some((end) => path.endsWith(end));
  };
}

/**
 * Builds it below `folder`, as root would: `npm ci` fetches packages, which takes minutes.
 *
 * @throws Error of a command, with what it said; or of an instruction that is not known here
 */
export async function buildImage(folder: string): Promise<Image> {
  const stages = new Map<string, string>();
  const env: Record<string, string> = {};
  let app = '';
  let entrypoint: string[] = [];
  let cmd: string[] = [];
  const words = (json: string) => JSON.parse(json) as string[]; // a form that Docker refuses fails here too
  for (const [name, rest] of instructions(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))) {
    if (name === 'FROM') {
      const stage = / AS (\S+)$/.exec(rest)?.[1];
      app = join(folder, stage ?? 'image');
      mkdirSync(app, { recursive: true });
      if (stage !== undefined) stages.set(stage, app);
    } else if (name === 'WORKDIR') {
      if (rest !== '/app') throw new Error(`WORKDIR ${rest}`);
    } else if (name === 'COPY') {
      const [, from, paths = ''] = /^(?:--from=(\S+)\s+)?(.*)$/.exec(rest)!;
      const parts = paths.split(/\s+/);
      const target = resolve(app, parts.pop()!);
      for (const part of parts) {
        const source = from === undefined ? resolve(ROOT, part) : join(stages.get(from)!, relative('/app', part));
        const into = /\.[a-z]+$|^\.npmrc$/.test(part) ? join(target, basename(part)) : target;
        cpSync(source, into, { recursive: true, ...(from === undefined ? { filter: included() } : {}) });
      }
    } else if (name === 'RUN') {
      // Packages of Debian and folders of the system are the base image's own.
      if (rest.startsWith('apt-get ')) continue;
      // A fresh machine: what this test's npm says to its children is not there.
      const own = Object.fromEntries(Object.entries(childEnvironment({})).filter(([key]) => !/^npm_/i.test(key)));
      await run('sh', ['-c', rest], { cwd: app, env: { ...own, ...env }, maxBuffer: 2 ** 26 });
    } else if (name === 'ENV') {
      const [key = '', value = ''] = rest.split('=');
      env[key] = value;
    } else if (name === 'ENTRYPOINT') entrypoint = words(rest);
    else if (name === 'CMD') cmd = words(rest);
    else if (!OF_THE_SYSTEM.has(name)) throw new Error(`Dockerfile has ${name}, which is not known here`);
  }
  return { app, stages, env, entrypoint, cmd };
}

/** The services that run our image: their command, and the question that tells whether they are healthy. */
export function composeServices(): Record<string, { readonly command: string[]; readonly healthcheck?: string[] }> {
  type Service = { build?: string; command?: string[]; healthcheck?: { test: string[] } };
  const { services } = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    services: Record<string, Service>;
  };
  const ours = Object.entries(services).filter(([, service]) => service.build === '.');
  return Object.fromEntries(
    ours.map(([name, { command = [], healthcheck }]) => [
      name,
      { command, ...(healthcheck ? { healthcheck: healthcheck.test } : {}) },
    ]),
  );
}
