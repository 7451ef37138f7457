/** `npm stop`: asks the launcher to stop its stack, waits for it, and ends what a killed launcher left behind. */
import { readDevSettings } from './settings.ts';
import { launcherOf, lockHome } from './homeLock.ts';
import { endProcess } from './processes.ts';
import { endLeftovers } from './stackFile.ts';

/** Five parts in a row, each with its 10 s, and a little. */
const PATIENCE_MS = 60_000;

const { home } = readDevSettings();
const print = (line: string): void => void process.stdout.write(`${line}\n`);

const launcher = launcherOf(home);
if (launcher !== undefined) await endProcess(launcher, 'SIGTERM', PATIENCE_MS);
const lock = lockHome(home);
if ('holder' in lock) {
  print(`Another launcher, process ${lock.holder.pid}, took ${home} meanwhile.`);
  process.exitCode = 1;
} else {
  const left = await endLeftovers(home);
  lock.release();
  if (left.length > 0) print(`Ended what a killed launcher left: ${left.join(', ')}.`);
  print(launcher === undefined && left.length === 0 ? `Nothing is running in ${home}.` : 'Stopped.');
}
