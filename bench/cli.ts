/**
 * The CPU of one command line: `edgeml model list` as `npm run build` makes it beside the same command of the checkout, in turns, against one
 * server. Every answer is held against what was registered. `--full` for the long preset. Exits 1 if an answer is wrong.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { childEnvironment } from '../environment.ts';
import { CHECKOUT } from '../dev/reach.ts';
import { runToEnd } from '../dev/runToEnd.ts';
import { removeHome, startStack } from '../dev/stack.ts';
import { connect } from '../sdk/index.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';

const GOAL_S = 0.35;
const runs = process.argv.includes('--full') ? 21 : 5;
const models = Array.from({ length: 20 }, (_, i) => `model-${String(i).padStart(2, '0')}`);

/** Seconds, user and system, of what the shell ran: the second line of POSIX `times`, such as `0m0.31s 0m0.04s`. */
function cpuOf(times: string): number {
  const figures =
    times
      .trim()
      .split('\n')
      .at(-1)!
      .match(/(\d+)m([\d.]+)s/g) ?? [];
  check(figures.length === 2, `the shell's times: ${times}`);
  return figures.reduce((sum, one) => sum + Number(one.split('m')[0]) * 60 + Number.parseFloat(one.split('m')[1]!), 0);
}

/** Runs `model list` once. @throws Error if it fails, or lists other models */
async function once(program: string, env: Record<string, string>): Promise<number> {
  const line = ['-c', '"$@" && times >&2', 'sh', process.execPath, program, 'model', 'list'];
  const { stdout, stderr } = await runToEnd('sh', line, { timeoutMs: 60_000, env });
  const listed = stdout
    .trim()
    .split('\n')
    .slice(1)
    .flatMap((row) => row.split(/\s{2,}/).filter((cell) => models.includes(cell)));
  check(listed.sort().join() === models.join(), `${program} listed ${stdout}`);
  return cpuOf(stderr);
}

await runToEnd(process.execPath, ['--import', 'tsx', join(CHECKOUT, 'dev', 'build.ts')], {
  timeoutMs: 600_000,
  cwd: CHECKOUT,
});
const home = resolve('.edgeml', `bench-${process.pid}`);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
const stack = await startStack({ home, external: {}, signal: stop.signal });
try {
  const apiKey = readFileSync(stack.keyFile, 'utf8').trim();
  const { registry } = connect({ baseUrl: stack.url, apiKey });
  for (const name of models) await registry.ensureModel({ name, framework: 'onnx', useCase: 'bench' });
  await stack.stopService('worker'); // it would take of the cores, and lists need none
  const env = childEnvironment({ EDGEML_URL: stack.url, EDGEML_API_KEY: apiKey });
  const built: number[] = [];
  const checkout: number[] = [];
  for (let i = 0; i < runs; i += 1) {
    built.push(await once(join(CHECKOUT, 'dist', 'client', 'cli.js'), env));
    checkout.push(await once(join(CHECKOUT, 'cli', 'bin.mjs'), env));
  }
  printConditions({ runs: String(runs), figure: 'median of user + system' });
  const [ours, theirs] = [quantile(built, 0.5), quantile(checkout, 0.5)];
  const result = `${ours.toFixed(2)} s, checkout ${theirs.toFixed(2)} s, ratio ${(theirs / ours).toFixed(1)}`;
  printResult('edgeml model list, from the build', result, `<= ${GOAL_S} s`, ours <= GOAL_S);
} finally {
  await stack.stop();
  removeHome(home);
}
