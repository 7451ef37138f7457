/** `npm run demo`: the story, told on a stack of its own. `--stay` leaves it up. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { renderLineage } from '../cli/lineage.ts';
import { readDevSettings } from './settings.ts';
import { tellStory } from '../examples/story.ts';
import { hearInterruption, Interrupted, INTERRUPTED, unlessInterrupted } from './interruption.ts';
import { startStack, type Stack } from './stack.ts';

const interruption = hearInterruption();

const stay = process.argv.includes('--stay');
const say = (line: string) => void process.stdout.write(`${line}\n`);
const seconds = (from: number) => ((performance.now() - from) / 1000).toFixed(1);

/** One bar at a time, on a terminal only; off it the story's own lines say the same. */
function createBars() {
  let bar: SingleBar | undefined;
  let title = '';
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    stop,
    show(name: string, done: number, total: number, detail: string) {
      if (!process.stderr.isTTY) return;
      if (name !== title) stop();
      if (!bar) {
        title = name;
        bar = new SingleBar({
          format: '{name} {bar} {value}/{total} {detail}',
          stream: process.stderr,
          clearOnComplete: true,
        });
        bar.start(total, done, { name, detail });
      }
      bar.update(done, { name, detail });
    },
  };
}

const home = join(readDevSettings().home, 'demo');
const began = performance.now();

async function start(): Promise<Stack | undefined> {
  say('EdgeML Lifecycle: starting Postgres, NATS, Temporal, our server and our worker.');
  try {
    return await startStack({ home, fresh: true, ports: 'free', say, signal: interruption });
  } catch (error) {
    if (error instanceof Interrupted) return undefined;
    throw error;
  }
}

/** What is still under way in this process (a story that was left in the middle) does not keep it. */
function end(code: number): never {
  if (interruption.aborted) say('Stopped.');
  process.exit(interruption.aborted ? INTERRUPTED : code);
}

const stack = (await start()) ?? end(INTERRUPTED);
const ready = performance.now();
say(`  ready at ${stack.url} after ${seconds(began)} s.\n`);

const bars = createBars();
let failed = false;
try {
  const story = tellStory({
    baseUrl: stack.url,
    adminKey: readFileSync(stack.keyFile, 'utf8').trim(),
    say: (line) => {
      if (interruption.aborted) return;
      bars.stop();
      say(line);
    },
    progress: (...step) => {
      if (!interruption.aborted) bars.show(...step);
    },
  });
  const result = await unlessInterrupted(story, interruption);
  bars.stop();
  say('Lineage');
  for (const line of renderLineage(result.lineage)) say(`  ${line}`);
  say('\nAudit');
  say(result.audit.passed ? '  the whole log was verified: every step passed.' : '  the log is NOT whole:');
  for (const finding of result.audit.findings) say(`  ${finding.step}: ${finding.detail}`);
  failed = !result.audit.passed || result.second.status !== 'rolled_back';
  say(`\nThe story took ${seconds(ready)} s, the start of the stack ${((ready - began) / 1000).toFixed(1)} s.`);
} catch (error) {
  bars.stop();
  failed = true;
  if (error instanceof Interrupted) say('\nInterrupted: stopping what was started.');
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  if (!interruption.aborted) process.stderr.write(`The logs are in ${join(home, 'logs')}.\n`);
}

if (stay && !failed) {
  say(`\nIt stays up: ${stack.url}, key in ${stack.keyFile}. Try \`npx edgeml model list\`. Ctrl-C ends it.`);
  await new Promise<void>((resolve) => {
    if (interruption.aborted) return resolve();
    interruption.addEventListener('abort', () => resolve(), { once: true });
  });
}
await stack.stop();
end(failed ? 1 : 0);
