/** Keeps one program running: started, asked until ready, restarted after a crash, given up after five in a minute. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { childEnvironment } from '../environment.ts';
import { logTail, openLog } from './logFile.ts';
import { endProcess, identify, isAlive, signal, type Identity } from './processes.ts';

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface ServiceSpec {
  readonly name: string;
  readonly log: string;
  /** Asked before every start, so that it may prepare files and see the ports of the moment. */
  readonly program: () => Program | Promise<Program>;
  /**
   * Asked every 50 ms while the child lives. A text: it lives, is not ready, and this is what it is at. False, or a throw: it says
   * nothing.
   */
  readonly isReady: (pid: number) => Promise<boolean | string>;
  /** A child that says nothing for so long before it is ready is ended. Default 30 s. */
  readonly silenceMs?: number;
  readonly stopSignal?: NodeJS.Signals;
  /**
   * The program ended before it was ready: true if something was changed so that another try is worth it. At a first start it is asked
   * at most three times, and there its answer decides; after a crash it is asked once a try, and the supervisor goes on either way.
   */
  readonly mend?: (how: string, logTail: string) => Promise<boolean>;
}

export interface Watch {
  /** A child is running, or none. Called before anything else happens, so that a killed launcher leaves a record. */
  readonly onProcess: (identity: Identity | undefined) => void;
  readonly onGaveUp: (name: string, why: string) => void;
  readonly note: (line: string) => void;
  /** False while a part it needs is down on purpose: a crash then is no fault of its own. */
  readonly countsCrashes: () => boolean;
}

const BACKOFF_MS = [500, 1_000, 2_000, 5_000] as const;
const CRASHES = { limit: 5, withinMs: 60_000 } as const;
const READY = { silenceMs: 30_000, everyMs: 50 } as const;

interface Run {
  readonly child: ChildProcess;
  readonly identity: Identity;
  readonly exited: Promise<string>;
}

/** One supervised program. Its owner calls start and stop; everything between them happens by itself. */
export class Supervised {
  readonly spec: ServiceSpec;
  readonly #watch: Watch;
  #run: Run | undefined;
  #isReady = false;
  #isWanted = false;
  #killedByUs = false;
  #crashes: number[] = [];
  #failure: string | undefined;
  #logFrom = 0;
  #endedEarly: string | undefined;
  #launching: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();
  #wake = new AbortController();
  readonly #waiters = new Set<() => void>();

  constructor(spec: ServiceSpec, watch: Watch) {
    this.spec = spec;
    this.#watch = watch;
  }

  get identity(): Identity | undefined {
    return this.#run?.identity;
  }

  get isUp(): boolean {
    return this.#isReady;
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Resolves when the program is ready. @throws Error with the end of its log if the first start fails and cannot be mended */
  async start(): Promise<void> {
    if (this.#isWanted) return this.whenReady();
    await this.#loop; // of an earlier life
    this.#isWanted = true;
    this.#failure = undefined;
    this.#crashes = [];
    this.#wake = new AbortController();
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#launch();
        break;
      } catch (error) {
        if (attempt < 4 && (await this.#mend())) continue;
        this.#isWanted = false;
        this.#notify();
        throw error;
      }
    }
    this.#loop = this.#keepRunning();
  }

  /** Resolves when the program answers, after a restart too. @throws Error if it was given up or stopped */
  async whenReady(): Promise<void> {
    for (;;) {
      if (this.#isReady) return;
      if (this.#failure !== undefined) throw new Error(this.#failure);
      if (!this.#isWanted) throw new Error(`${this.spec.name} is stopped`);
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** Signals the program as a fault would, and resolves when it has gone; the supervisor then restarts it. */
  async kill(name: NodeJS.Signals): Promise<void> {
    const run = this.#run;
    if (run === undefined) throw new Error(`${this.spec.name} is not running`);
    this.#killedByUs = true;
    this.#isReady = false;
    signal(run.identity, name);
    await run.exited;
  }

  /** Ends the program for good, politely unless told otherwise; resolves when it has gone. Idempotent. */
  async stop(name: NodeJS.Signals = this.spec.stopSignal ?? 'SIGTERM'): Promise<void> {
    this.#isWanted = false;
    this.#isReady = false;
    this.#wake.abort();
    this.#notify();
    if (this.#run !== undefined) await endProcess(this.#run.identity, name);
    await this.#launching;
    await this.#run?.exited;
    await this.#loop;
  }

  async #mend(): Promise<boolean> {
    if (!this.#isWanted || this.#endedEarly === undefined) return false;
    return (await this.spec.mend?.(this.#endedEarly, logTail(this.spec.log, this.#logFrom))) ?? false;
  }

  #notify(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  async #spawn(): Promise<Run> {
    const { file, args, env, cwd, user } = await this.spec.program();
    const { fd, from } = openLog(this.spec.log);
    this.#logFrom = from;
    const child = spawn(file, args, {
      detached: true, // Ctrl-C reaches only us; we stop them in order
      stdio: ['ignore', fd, fd],
      env: childEnvironment(env ?? {}),
      ...(cwd === undefined ? {} : { cwd }),
      ...(user ?? {}),
    });
    closeSync(fd);
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, name) => resolve(name === null ? `exit code ${code}` : name));
    });
    // A child that has gone already has no start time; nothing will ever be sent to this identity.
    const identity = identify(child.pid ?? -1) ?? { pid: child.pid ?? -1, started: 'gone' };
    return { child, identity, exited };
  }

  #launch(): Promise<void> {
    const launch = this.#launchOnce();
    this.#launching = launch.catch(() => undefined);
    return launch;
  }

  async #launchOnce(): Promise<void> {
    const run = await this.#spawn();
    this.#run = run;
    this.#killedByUs = false;
    this.#endedEarly = undefined;
    this.#watch.onProcess(run.identity);
    let end: string | undefined;
    void run.exited.then((how) => {
      end = how;
      this.#isReady = false;
      if (this.#run === run) this.#run = undefined;
      this.#watch.onProcess(undefined);
    });
    const { silenceMs = READY.silenceMs } = this.spec;
    let heardAt = Date.now();
    let noted: string | undefined;
    for (;;) {
      // The child must live after the answer: on a port that is taken a stranger answers while ours is still ending.
      const answered = await this.spec.isReady(run.identity.pid).catch(() => false);
      if (end !== undefined) {
        this.#endedEarly = end;
        throw this.#failed(`ended before it was ready: ${end}`);
      }
      if (!this.#isWanted) {
        await endProcess(run.identity, this.spec.stopSignal);
        throw new Error(`${this.spec.name} was stopped while it started`);
      }
      if (answered === true && isAlive(run.identity)) break;
      if (typeof answered === 'string') {
        heardAt = Date.now();
        if (answered !== noted) this.#watch.note(`${this.spec.name} is starting: ${answered}`);
        noted = answered;
      }
      if (Date.now() > heardAt + silenceMs) {
        await endProcess(run.identity);
        throw this.#failed(`was not ready, and said nothing for ${silenceMs / 1000} s`);
      }
      await delay(READY.everyMs);
    }
    this.#isReady = true;
    this.#notify();
  }

  #failed(why: string): Error {
    const tail = logTail(this.spec.log, this.#logFrom).trimEnd();
    return new Error(`${this.spec.name} ${why}. Its log, ${this.spec.log}, ends:\n${tail || '(nothing)'}`);
  }

  async #keepRunning(): Promise<void> {
    for (;;) {
      const how = (await this.#run?.exited) ?? 'it never started';
      if (!this.#isWanted) return;
      if (!this.#killedByUs && this.#watch.countsCrashes()) this.#crashes.push(Date.now());
      this.#crashes = this.#crashes.filter((at) => at > Date.now() - CRASHES.withinMs);
      if (this.#crashes.length >= CRASHES.limit) return this.#giveUp(how);
      const wait = BACKOFF_MS[Math.min(Math.max(this.#crashes.length - 1, 0), BACKOFF_MS.length - 1)]!;
      this.#watch.note(`${this.spec.name} ended (${how}); starting it again in ${wait / 1000} s.`);
      await delay(wait, undefined, { signal: this.#wake.signal }).catch(() => undefined);
      if (!this.#isWanted) return;
      await this.#launch().catch(async (error: unknown) => {
        if (!this.#isWanted) return;
        this.#watch.note(error instanceof Error ? error.message : String(error));
        await this.#mend();
      });
    }
  }

  #giveUp(how: string): void {
    this.#isWanted = false;
    this.#failure = this.#failed(
      `ended ${CRASHES.limit} times in a minute, last with ${how}; not starting it again`,
    ).message;
    this.#notify();
    this.#watch.onGaveUp(this.spec.name, this.#failure);
  }
}
