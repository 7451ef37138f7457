/** Training runs, rollouts and rollbacks. */
import type { CallOptions, Http } from './http.ts';
import { pagesOf } from './pages.ts';
import { settle } from './operation.ts';
import { pick, segment } from './registry.ts';
import { RolloutHandle } from './rollout.ts';
import type { CreateRollout, Operation, Rollout, RolloutEnded, Rounds, Training } from './types.ts';

const own = '/lifecycle/v1';

export interface TrainRequest {
  readonly model: string;
  readonly newVersion: string;
  readonly baseVersion?: string;
  /** SHA-256 of a safetensors blob; when, and only when, the model has no version yet. */
  readonly initArtifact?: string;
  readonly rounds?: number;
  readonly minUpdates?: number;
  readonly goal?: number | null;
  readonly client?: { readonly epochs?: number; readonly batch_size?: number; readonly lr?: number };
  readonly windows?: { readonly selection?: string; readonly report?: string; readonly extend?: string };
  /** SHA-256 of the held-out set. */
  readonly evaluationSet?: string;
  readonly publish?: boolean;
  /** 32 bytes hex from which devices draw; the server draws one if it is left out. Pinned, the same updates give the same model. */
  readonly seed?: string;
}

export class Federation {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /** Asks for a run and, unless `wait` is false, follows it to its end. @throws EdgeMLError if it was aborted */
  train(t: TrainRequest, o: CallOptions = {}): Promise<Operation> {
    const body = {
      new_version: t.newVersion,
      ...(t.baseVersion === undefined ? {} : { base_version: t.baseVersion }),
      ...(t.initArtifact === undefined ? {} : { init_artifact: t.initArtifact }),
      ...(t.rounds === undefined ? {} : { rounds: t.rounds }),
      ...(t.minUpdates === undefined ? {} : { min_updates: t.minUpdates }),
      ...(t.goal === undefined ? {} : { goal: t.goal }),
      ...(t.client === undefined ? {} : { client: t.client }),
      ...(t.windows === undefined ? {} : { windows: t.windows }),
      ...(t.evaluationSet === undefined ? {} : { evaluation: { set: t.evaluationSet } }),
      ...(t.publish === undefined ? {} : { publish: t.publish }),
      ...(t.seed === undefined ? {} : { seed: t.seed }),
    };
    return settle(this.#http, 'POST', `${own}/models/${segment(t.model)}/train`, body, o);
  }

  training(runId: string, o: CallOptions & { asOf?: string } = {}): Promise<Training> {
    return this.#http.json('GET', `${own}/training/${segment(runId)}`, { query: { as_of: o.asOf }, signal: o.signal });
  }

  /** All of them. */
  async trainingRounds(runId: string, o: CallOptions & { asOf?: string } = {}): Promise<Rounds> {
    const path = `${own}/training/${segment(runId)}/rounds`;
    const items: Rounds['items'] = [];
    let position = -1;
    for await (const page of pagesOf<Rounds>(this.#http, path, { as_of: o.asOf }, o.signal)) {
      for (const item of page.items) items.push(item);
      position = page.position;
    }
    return { items, next_cursor: null, position };
  }

  /** `pause`, `resume`, `stop` (keeps the last round's model) or `abort` (keeps nothing). */
  controlTraining(
    runId: string,
    verb: 'pause' | 'resume' | 'stop' | 'abort',
    reason: string | undefined,
    o: CallOptions = {},
  ): Promise<Training> {
    const body = reason === undefined ? {} : { reason };
    return this.#http.json('POST', `${own}/training/${segment(runId)}/${verb}`, { body, ...pick(o) });
  }

  /** Creates a rollout; starts it unless `start` is false. Stages default to the canary 10, 25, 50, 75, 100 %. */
  async deploy(d: { model: string; start?: boolean } & CreateRollout, o: CallOptions = {}): Promise<RolloutHandle> {
    const { model, start = true, ...spec } = d;
    const rollout: Rollout = await this.#http.json('POST', `${own}/models/${segment(model)}/rollouts`, {
      body: { ...spec, start },
      ...pick(o),
    });
    return new RolloutHandle(this.#http, rollout.id, rollout);
  }

  rollout(id: number): RolloutHandle {
    return new RolloutHandle(this.#http, id);
  }

  /**
   * Takes the model back to its last stable version, or to an older one. Works while Temporal and NATS are down.
   *
   * @param r.fromVersion the version that must go: asked twice, it goes once, and what came back stays
   */
  rollback(
    r: { model: string; targetVersion?: string; fromVersion?: string; reason: string },
    o: CallOptions = {},
  ): Promise<RolloutEnded> {
    const body = {
      reason: r.reason,
      ...(r.targetVersion === undefined ? {} : { target_version: r.targetVersion }),
      ...(r.fromVersion === undefined ? {} : { from_version: r.fromVersion }),
    };
    return this.#http.json('POST', `${own}/models/${segment(r.model)}/rollback`, { body, ...pick(o) });
  }
}
