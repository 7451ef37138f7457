/** Models, versions, blobs and lineage. */
import { sha256Hex } from '../domain/hash/sha256.ts';
import { EdgeMLError } from './errors.ts';
import type { CallOptions, Http } from './http.ts';
import { followOperation, settle } from './operation.ts';
import { pagesOf } from './pages.ts';
import type {
  Architecture,
  Lineage,
  Model,
  ModelRegistered,
  ModelPage,
  ModelSummary,
  Operation,
  Version,
  VersionPage,
} from './types.ts';

const own = '/lifecycle/v1';

/** One segment of a path. @throws EdgeMLError `invalid_input` for what cannot be one: a URL resolves dots, so another route would be asked */
export function segment(text: string): string {
  if (text !== '' && text !== '.' && text !== '..') return encodeURIComponent(text);
  throw new EdgeMLError(`"${text}" names nothing`, 422, undefined, { code: 'invalid_input' });
}

export class ModelRegistry {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * The model of that name, registered if there is none; `warnings` says what of the name was changed.
   *
   * @throws Conflict if it exists with another framework or use case
   */
  ensureModel(
    m: {
      name: string;
      framework: string;
      useCase: string;
      description?: string;
      /** A graph the server can build from named tensors; without one only weights can be published. */
      architecture?: Architecture;
      contract?: Record<string, unknown>;
    },
    o: CallOptions = {},
  ): Promise<ModelRegistered> {
    const body = {
      name: m.name,
      framework: m.framework,
      use_case: m.useCase,
      ...(m.description === undefined ? {} : { description: m.description }),
      ...(m.architecture === undefined ? {} : { architecture: m.architecture }),
      ...(m.contract === undefined ? {} : { contract: m.contract }),
    };
    return this.#http.json('POST', `${own}/models`, { body, ...pick(o) });
  }

  getModel(idOrName: string, o: CallOptions & { asOf?: string } = {}): Promise<Model> {
    return this.#http.json('GET', `${own}/models/${segment(idOrName)}`, { query: { as_of: o.asOf }, signal: o.signal });
  }

  async *listModels(o: CallOptions & { asOf?: string } = {}): AsyncIterable<ModelSummary> {
    const pages = pagesOf<ModelPage>(this.#http, `${own}/models`, { as_of: o.asOf }, o.signal);
    for await (const { items } of pages) yield* items;
  }

  draftVersion(v: { model: string; version: string; parent?: string }, o: CallOptions = {}): Promise<Version> {
    const body = { version: v.version, ...(v.parent === undefined ? {} : { parent: v.parent }) };
    return this.#http.json('POST', `${own}/models/${segment(v.model)}/versions`, { body, ...pick(o) });
  }

  getVersion(model: string, version: string, o: CallOptions & { asOf?: string } = {}): Promise<Version> {
    const path = `${own}/models/${segment(model)}/versions/${segment(version)}`;
    return this.#http.json('GET', path, { query: { as_of: o.asOf }, signal: o.signal });
  }

  /** All of them, highest precedence first. */
  async listVersions(model: string, o: CallOptions & { asOf?: string } = {}): Promise<VersionPage> {
    const path = `${own}/models/${segment(model)}/versions`;
    const items: VersionPage['items'] = [];
    let position = -1;
    for await (const page of pagesOf<VersionPage>(this.#http, path, { as_of: o.asOf }, o.signal)) {
      for (const item of page.items) items.push(item);
      position = page.position;
    }
    return { items, next_cursor: null, position };
  }

  /**
   * Publishes and, unless `wait` is false, follows the operation to its end.
   *
   * @throws EdgeMLError with the code of the gate that refused
   */
  async publishVersion(
    v: { model: string; version: string; formats?: string[] },
    o: CallOptions = {},
  ): Promise<Version> {
    const operation = await this.requestPublish(v, o);
    if (o.wait !== false && operation.state !== 'succeeded') await followOperation(this.#http, operation.id, o);
    return this.getVersion(v.model, v.version, o);
  }

  /** Asks for it, and does not wait. The same request again answers the same operation. */
  requestPublish(v: { model: string; version: string; formats?: string[] }, o: CallOptions = {}): Promise<Operation> {
    const path = `${own}/models/${segment(v.model)}/versions/${segment(v.version)}/publish`;
    return settle(this.#http, 'POST', path, v.formats ? { formats: v.formats } : {}, { ...o, wait: false });
  }

  /** Ends the publication that runs; the version may be published again. */
  cancelPublish(v: { model: string; version: string; reason: string }, o: CallOptions = {}): Promise<Version> {
    const path = `${own}/models/${segment(v.model)}/versions/${segment(v.version)}/publish/cancel`;
    return this.#http.json('POST', path, { body: { reason: v.reason }, ...pick(o) });
  }

  /** All of it, highest precedence first. */
  async lineage(model: string, o: CallOptions & { asOf?: string } = {}): Promise<Lineage> {
    const path = `${own}/models/${segment(model)}/lineage`;
    const pages = pagesOf<Lineage>(this.#http, path, { as_of: o.asOf }, o.signal);
    const { value: first } = await pages.next();
    if (!first) throw new Error('a list has one page at least');
    const nodes = [...first.nodes];
    for await (const page of pages) for (const node of page.nodes) nodes.push(node);
    return { ...first, nodes, next_cursor: null };
  }

  /** Stores bytes under their SHA-256 and gives it back; the same bytes again are no error. */
  async putBlob(bytes: Uint8Array, o: CallOptions = {}): Promise<{ sha256: string; bytes: number }> {
    const sha256 = sha256Hex(bytes);
    await this.#http.send('PUT', `${own}/blobs/${sha256}`, {
      raw: bytes,
      headers: { 'content-type': 'application/octet-stream' },
      signal: o.signal,
    });
    return { sha256, bytes: bytes.length };
  }
}

/** The members of CallOptions that one request takes. */
export const pick = (o: CallOptions) => ({ idempotencyKey: o.idempotencyKey, signal: o.signal });
