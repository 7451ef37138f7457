/** A module of ours as the script of a child process: TypeScript in a checkout, JavaScript once compiled. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface Script {
  readonly path: string;
  /** Options of Node that it needs. */
  readonly execArgv: readonly string[];
}

/** @param beside URL of a module in its folder; `name` has no extension */
export function scriptBeside(beside: string, name: string): Script {
  const source = fileURLToPath(new URL(`./${name}.ts`, beside));
  if (!existsSync(source)) return { path: fileURLToPath(new URL(`./${name}.js`, beside)), execArgv: [] };
  // By address, not by name: a name would be looked up from the working directory.
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return { path: source, execArgv: ['--import', tsx] };
}
