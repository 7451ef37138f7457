/**
 * The judge against fleets that are simulated device by device (docs/design/judge.md "The harness"): the real judge, assignment and plan on
 * simulated time. Seeds are 1…n, so a goal that is met is met each time. Exits 1 if a goal is not met or a judgement does not recompute.
 *
 *     node --import tsx bench/rollout.ts [--full] [--goal TEXT] [--seed N] [--fault NAME]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { FAULTS, type Fault } from './rollout/faults.ts';
import { GOALS, type Goal, type Setting, type Shown } from './rollout/goals.ts';
import { printConditions, quantile } from './support/report.ts';

interface Task {
  readonly goal: number;
  readonly seed: number;
  readonly setting: Setting;
}

const isFull = process.argv.includes('--full');
function valueOf(flag: string): string | undefined {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
}

/** A child: one seed after the other. */
function work(): void {
  process.on('message', ({ goal, seed, setting }: Task) => void process.send!(GOALS[goal]!.run(seed, setting)));
  process.on('disconnect', () => process.exit());
}

/** Runs tasks on children of this file, as many at once as there are processors. */
function startPool(): { readonly run: (task: Task) => Promise<Shown>; readonly end: () => void } {
  const waiting: { readonly task: Task; readonly done: (shown: Shown) => void; readonly fail: (e: Error) => void }[] =
    [];
  const children: ChildProcess[] = [];
  const idle: ChildProcess[] = [];
  const next = (child: ChildProcess): void => {
    const job = waiting.shift();
    if (!job) return void idle.push(child);
    const lost = (code: number | null): void =>
      job.fail(new Error(`a worker ended (${code}) in seed ${job.task.seed}`));
    child.once('exit', lost);
    child.once('message', (shown: Shown) => {
      child.off('exit', lost);
      job.done(shown);
      next(child);
    });
    child.send(job.task);
  };
  for (let i = 0; i < availableParallelism(); i += 1) {
    const child = fork(import.meta.filename, ['--worker'], { execArgv: ['--import', 'tsx'] });
    children.push(child);
    idle.push(child);
  }
  return {
    run: (task) =>
      new Promise((done, fail) => {
        waiting.push({ task, done, fail });
        const child = idle.pop();
        if (child) next(child);
      }),
    end: () => children.forEach((child) => child.disconnect()),
  };
}

interface Line {
  readonly met: boolean;
  readonly forged: number;
}

async function tryGoal(
  goal: Goal,
  seeds: readonly number[],
  setting: Setting,
  run: (task: Task) => Promise<Shown>,
): Promise<Line> {
  const index = GOALS.indexOf(goal);
  const shown = await Promise.all(seeds.map((seed) => run({ goal: index, seed, setting })));
  const failing = seeds.filter((_, i) => !shown[i]!.ok);
  const figures = shown.flatMap((one) => one.figure ?? []);
  const met = failing.length <= goal.allowed * seeds.length;
  const forged = shown.filter((one) => one.forged).length;
  const middle =
    figures.length === 0 ? '' : `${quantile(figures, 0.5).toFixed(1)}, p95 ${quantile(figures, 0.95).toFixed(1)}`;
  const cadence = setting.reportHours === undefined ? '' : ` [reports each ${setting.reportHours} h]`;
  const count = `${seeds.length - failing.length} of ${seeds.length}`;
  const verdict = setting.reportHours === undefined ? (met ? 'met' : 'NOT MET') : 'no goal';
  console.log(`${(goal.name + cadence).padEnd(74)} ${count.padEnd(12)} ${middle.padEnd(18)} ${goal.wants}: ${verdict}`);
  if (setting.reportHours === undefined && failing.length > 0) {
    const fault = setting.fault === undefined ? '' : ` --fault ${setting.fault}`;
    console.log(`  seed ${failing[0]} of ${failing.length}: ${shown[seeds.indexOf(failing[0]!)]!.text}`);
    console.log(`  alone: node --import tsx bench/rollout.ts --goal '${goal.name}' --seed ${failing[0]}${fault}`);
  }
  if (forged > 0) console.log(`  ${forged} runs have a judgement that does not recompute`);
  return { met: met || setting.reportHours !== undefined, forged };
}

async function main(): Promise<number> {
  const [text, seed, fault] = [valueOf('--goal') ?? '', valueOf('--seed'), valueOf('--fault')];
  const goals = GOALS.filter((goal) => goal.name.includes(text));
  if (goals.length === 0 || (fault !== undefined && !(fault in FAULTS))) {
    console.error(
      `no such goal or fault; goals: ${GOALS.map((g) => g.name).join(' | ')}; faults: ${Object.keys(FAULTS).join(', ')}`,
    );
    return 2;
  }
  printConditions({ preset: isFull ? 'full' : 'quick', ...(fault === undefined ? {} : { fault }) });
  const began = performance.now();
  const pool = startPool();
  const setting: Setting = fault === undefined ? {} : { fault: fault as Fault };
  const seedsOf = (goal: Goal): number[] =>
    seed === undefined ? Array.from({ length: isFull ? goal.full : goal.quick }, (_, i) => i + 1) : [Number(seed)];
  try {
    const lines = await Promise.all(goals.map((goal) => tryGoal(goal, seedsOf(goal), setting, pool.run)));
    if (isFull && fault === undefined) {
      for (const reportHours of [1, 24]) {
        const quick = (goal: Goal) => Array.from({ length: goal.quick }, (_, i) => i + 1);
        await Promise.all(goals.map((goal) => tryGoal(goal, quick(goal), { reportHours }, pool.run)));
      }
    }
    const met = lines.filter((line) => line.met).length;
    const forged = lines.reduce((sum, line) => sum + line.forged, 0);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${met} of ${lines.length} goals met, ${forged} runs with a forged judgement, in ${seconds} s`);
    return met === lines.length && forged === 0 ? 0 : 1;
  } finally {
    pool.end();
  }
}

if (process.argv.includes('--worker')) work();
else process.exitCode = await main();
