/** One rollout: look at it, follow it, and stop it. */
import type { CallOptions, Http } from './http.ts';
import { sleep } from './pause.ts';
import { pick } from './registry.ts';
import type { Rollout, RolloutEnded, RolloutHealth } from './types.ts';

const ENDED = new Set(['completed', 'rolled_back', 'aborted']);
const POLL_MS = 200;

export class RolloutHandle {
  readonly id: number;
  /** As of the call that made this handle, if it answered one. */
  readonly created: Rollout | undefined;
  readonly #http: Http;
  readonly #path: string;
  constructor(http: Http, id: number, created?: Rollout) {
    this.#http = http;
    this.id = id;
    this.created = created;
    this.#path = `/lifecycle/v1/rollouts/${id}`;
  }

  get(o: CallOptions & { asOf?: string } = {}): Promise<Rollout> {
    return this.#http.json('GET', this.#path, { query: { as_of: o.asOf }, signal: o.signal });
  }
  health(o: CallOptions = {}): Promise<RolloutHealth> {
    return this.#http.json('GET', `${this.#path}/health`, { signal: o.signal });
  }
  start(o: CallOptions = {}): Promise<Rollout> {
    return this.#command('start', {}, o);
  }
  pause(reason: string, o: CallOptions = {}): Promise<Rollout> {
    return this.#command('pause', { reason }, o);
  }
  resume(reason?: string, o: CallOptions = {}): Promise<Rollout> {
    return this.#command('resume', reason === undefined ? {} : { reason }, o);
  }
  /** The next stage. Before its bake is over it needs `override` and a reason, which are recorded. */
  advance(a: { reason?: string; override?: boolean } = {}, o: CallOptions = {}): Promise<Rollout> {
    return this.#command('advance', a, o);
  }
  /** Devices return to stable, which may be no version: `stable_version` says. The version is not blamed. */
  abort(reason: string, o: CallOptions = {}): Promise<RolloutEnded> {
    return this.#command('abort', { reason }, o);
  }
  /** Devices return to stable, which may be no version: `stable_version` says. The version is marked for ever. */
  rollback(reason: string, o: CallOptions & { targetVersion?: string } = {}): Promise<RolloutEnded> {
    const target = o.targetVersion === undefined ? {} : { target_version: o.targetVersion };
    return this.#command('rollback', { reason, ...target }, o);
  }
  recordRootCause(text: string, o: CallOptions = {}): Promise<Rollout> {
    return this.#command('root-cause', { text }, o);
  }
  postMortem(o: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#http.json('GET', `${this.#path}/post-mortem`, {
      headers: { accept: 'application/json' },
      signal: o.signal,
    });
  }
  async postMortemMarkdown(o: CallOptions = {}): Promise<string> {
    const answer = await this.#http.send('GET', `${this.#path}/post-mortem`, {
      headers: { accept: 'text/markdown' },
      signal: o.signal,
    });
    return new TextDecoder().decode(answer.bytes);
  }

  /** Each change of the rollout, until it ends. */
  async *watch(o: CallOptions = {}): AsyncIterable<Rollout> {
    for (let seen = -1; ;) {
      const rollout = await this.get(o);
      if (rollout.stream_version !== seen) yield rollout;
      seen = rollout.stream_version;
      if (ENDED.has(rollout.status)) return;
      await sleep(POLL_MS, o.signal);
    }
  }

  /** Waits for the end: completed, rolled back or aborted. */
  async settled(o: CallOptions = {}): Promise<Rollout> {
    let last: Rollout | undefined;
    for await (const rollout of this.watch(o)) {
      last = rollout;
      o.onProgress?.({ phase: rollout.status, done: rollout.percent_now, total: 100, unit: 'percent' });
    }
    return last!; // watch yields at least once
  }

  #command<R = Rollout>(verb: string, body: unknown, o: CallOptions): Promise<R> {
    return this.#http.json('POST', `${this.#path}/${verb}`, { body, ...pick(o) });
  }
}
