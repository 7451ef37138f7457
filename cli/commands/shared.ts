/** What every command is built from: global flags, the connection, and text for people. */
import type { Command } from 'commander';
import { Audit } from '../../sdk/audit.ts';
import { Federation } from '../../sdk/federation.ts';
import type { Http, Progress } from '../../sdk/http.ts';
import { ModelRegistry } from '../../sdk/registry.ts';
import { connectAs } from '../connect.ts';
import { CliError, EXIT } from '../exit.ts';
import { createOutput, type Format, type Output } from '../output.ts';

export interface GlobalFlags {
  readonly url?: string;
  readonly keyFile?: string;
  readonly output: Format;
  readonly asOf?: string;
  readonly yes?: boolean;
  readonly progress: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
}

export interface Session {
  readonly flags: GlobalFlags;
  readonly out: Output;
  readonly http: Http;
  readonly registry: ModelRegistry;
  readonly federation: Federation;
  readonly audit: Audit;
  /** The flag as an option of reads. */
  readonly asOf: { asOf?: string };
}

/** Reads the global flags of the running command and connects. */
export function session(command: Command): Session {
  const flags = command.optsWithGlobals<GlobalFlags>();
  const http = connectAs({
    ...(flags.url === undefined ? {} : { url: flags.url }),
    ...(flags.keyFile === undefined ? {} : { keyFile: flags.keyFile }),
  });
  return {
    flags,
    http,
    out: createOutput(flags.output, { progress: flags.progress }),
    registry: new ModelRegistry(http),
    federation: new Federation(http),
    audit: new Audit(http),
    asOf: flags.asOf === undefined ? {} : { asOf: flags.asOf },
  };
}

/** `consequence` is what it would lead to, looked up only where a person reads it.
 *
 * Asks once on a terminal before what cannot be undone; off a terminal a missing `-y` is a usage error. */
export async function confirm(
  flags: GlobalFlags,
  question: string,
  consequence: () => Promise<string> = () => Promise.resolve(''),
): Promise<void> {
  if (flags.yes) return;
  if (!process.stdin.isTTY) throw new CliError(`${question} Say so with -y.`, EXIT.usage);
  process.stderr.write(`${[question, await consequence()].filter((t) => t !== '').join(' ')} [y/N] `);
  const answer = await new Promise<string>((resolve) => process.stdin.once('data', (d) => resolve(String(d).trim())));
  process.stdin.pause();
  if (!/^y(es)?$/i.test(answer)) throw new CliError('Nothing was changed.', EXIT.usage);
}

/** Many facts are read in a moment: off a terminal, a line for each would bury what matters. */
const EVERY_MS = 5_000;

/** Shows what the server tells while it reads the log. Call `done` before anything else is printed. */
export function followed(out: Output, title: string): { onProgress(p: Progress): void; done(): void } {
  const bar = out.progress(title, EVERY_MS);
  return { onProgress: (p) => bar.update(p), done: () => bar.done() };
}

export const figure = (value: number | null | undefined, digits = 4) => (value == null ? '–' : value.toFixed(digits));
export const shownPercent = (value: number) => `${Number(value.toFixed(2))} %`;
