/** `npm start`: the stack on its usual ports until Ctrl-C. `--json` prints stack.json once ready, `--detach` returns then. */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readDevSettings } from './settings.ts';
import { childEnvironment } from '../environment.ts';
import { launcherOf } from './homeLock.ts';
import { hearInterruption, Interrupted, INTERRUPTED, refuseInterrupted, unlessInterrupted } from './interruption.ts';
import { logTail, openLog } from './logFile.ts';
import { endProcess, identify } from './processes.ts';
import { startStack, StackIsRunning, type Stack } from './stack.ts';
import { readStack, type StackRecord } from './stackFile.ts';

const interruption = hearInterruption();
const { home } = readDevSettings();
const asJson = process.argv.includes('--json');
const detach = process.argv.includes('--detach');
const print = (line: string): void => void process.stdout.write(`${line}\n`);
/** With --json, standard output holds the record and nothing else. */
const say = (line: string): void => void (asJson ? process.stderr : process.stdout).write(`${line}\n`);

function describe(record: StackRecord): void {
  if (asJson) return print(JSON.stringify(record, null, 2));
  print(`API        ${record.url}`);
  if (record.services.temporal !== undefined) print(`Temporal   http://127.0.0.1:${record.ports.temporal_ui}`);
  print(`Key        ${record.key_file}`);
  print(`Logs       ${join(home, 'logs')}`);
}

/** Another launcher may still be at it: waits until its record says ready. Undefined: it has ended. */
async function recordOnceReady(): Promise<StackRecord | undefined> {
  while (launcherOf(home) !== undefined) {
    const record = readStack(home);
    if (record?.state === 'ready') return record;
    refuseInterrupted(interruption);
    await delay(100);
  }
  return undefined;
}

async function startDetached(): Promise<number> {
  const log = join(home, 'logs', 'launcher.log');
  const { fd, from } = openLog(log);
  const child = spawn(process.execPath, ['--import', 'tsx', import.meta.filename], {
    detached: true,
    stdio: ['ignore', fd, fd],
    env: childEnvironment({}),
  });
  closeSync(fd);
  const launcher = identify(child.pid ?? -1);
  let exitCode: number | undefined;
  child.once('exit', (code) => (exitCode = code ?? 1));
  for (;;) {
    const record = readStack(home);
    if (record?.state === 'ready' && launcherOf(home) !== undefined) {
      if (record.launcher.pid !== child.pid) say(`already running at ${record.url}`);
      describe(record);
      child.unref();
      return 0;
    }
    if (exitCode !== undefined) {
      process.stderr.write(`It did not start. ${log} ends:\n${logTail(log, from)}`);
      return 1;
    }
    if (interruption.aborted) {
      // It does not hear our terminal: it is told, and has as long as `npm stop` gives it.
      if (launcher !== undefined) await endProcess(launcher, 'SIGTERM', 60_000);
      return INTERRUPTED;
    }
    await delay(100);
  }
}

async function untilStopped(stack: Stack): Promise<number> {
  const failure = await unlessInterrupted(stack.gaveUp, interruption).catch(() => undefined);
  say(failure === undefined ? 'Stopping …' : 'Stopping, since a part could not be kept up.');
  await stack.stop();
  say('Stopped.');
  if (failure !== undefined) return 1;
  return interruption.reason === 'SIGTERM' ? 0 : INTERRUPTED; // SIGTERM is how `npm stop` asks
}

async function startHere(): Promise<number> {
  say(`Starting EdgeML Lifecycle in ${home} …`);
  try {
    const stack = await startStack({ home, ports: 'preferred', ui: true, say, signal: interruption });
    describe(stack.record());
    say(`Ready. ${process.stdout.isTTY ? 'Ctrl-C or npm stop' : 'npm stop'} ends it.`);
    return await untilStopped(stack);
  } catch (error) {
    if (!(error instanceof StackIsRunning)) throw error;
    const record = await recordOnceReady();
    if (record === undefined) throw error;
    say(`already running at ${record.url}`);
    if (asJson) describe(record);
    return 0;
  }
}

try {
  process.exitCode = await (detach ? startDetached() : startHere());
} catch (error) {
  if (error instanceof Interrupted) say('Stopped before it was up.');
  else process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof Interrupted ? INTERRUPTED : 1;
}
