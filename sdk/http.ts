/**
 * The HTTP core of the SDK. Browser-safe. Retries network errors, 429 and 502–504 with full jitter from 0.5 to 8 s; `Retry-After`
 * wins, and over it `EdgeML-Retry`: a server that names a window has no place now, so its answer is no failed attempt. One generated Idempotency-Key serves all attempts, so a retry of a command whose answer was lost gets its first outcome.
 */
import { type EdgeMLError, errorFrom, Timeout, Unreachable, type Problem } from './errors.ts';
import { sleep } from './pause.ts';
import { readBody, watchSilence } from './silence.ts';
import { cutText } from '../domain/text.ts';

export interface ClientOptions {
  readonly baseUrl: string;
  readonly apiKey?: string;
  readonly fetch?: typeof fetch;
  /** Longest silence of an attempt; 20 s. A body may take as long as it needs while its bytes keep coming. */
  readonly timeoutMs?: number;
  readonly attempts?: number;
}

/** Who asks, where that is not one key for ever. */
export interface Credentials {
  bearer(): string | undefined;
  /** After a 401 for `refused`: true where there is another bearer to try. */
  renew(refused: string | undefined): Promise<boolean>;
}

/** Last argument of every verb. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly idempotencyKey?: string;
  readonly onProgress?: (progress: Progress) => void;
  /** Follow a 202 to its end; true unless said otherwise. */
  readonly wait?: boolean;
}

export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: 'bytes' | 'rounds' | 'formats' | 'percent' | 'facts';
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  /** Bytes instead of JSON. */
  readonly raw?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told each piece of the body of a 2xx answer as it comes; an attempt that broke off may have told some before. */
  readonly onBytes?: ((piece: Uint8Array) => void) | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const RETRIED = new Set([429, 502, 503, 504]);
/** Windows that one call follows: some minutes of a server without a place. */
const MOST_WINDOWS = 60;

/** A random moment of `EdgeML-Retry: min=<ms>,max=<ms>`; undefined without it. */
function momentOf(answer: Answer): number | undefined {
  const found = /^min=(\d{1,9}),max=(\d{1,9})$/.exec(answer.headers.get('edgeml-retry') ?? '');
  if (!found) return undefined;
  const [min, max] = [Number(found[1]), Number(found[2])];
  return min + Math.random() * Math.max(0, max - min);
}

export class Http {
  readonly baseUrl: string;
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;
  readonly #credentials: Credentials | undefined;

  /** @param credentials in place of `apiKey` */
  constructor(options: ClientOptions, credentials?: Credentials) {
    this.baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.#options = options;
    this.#credentials = credentials;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** JSON of a 2xx answer. The caller names the type that the API's schema declares for this route. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const answer = await this.send(method, path, options);
    // Unchecked on purpose: the server's tests hold every response against the same schema.
    return (answer.bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(answer.bytes))) as T;
  }

  /** Sends until it is answered for good. @throws EdgeMLError of the class that fits */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const attempts = this.#options.attempts ?? 3;
    const key =
      options.idempotencyKey ?? (method === 'POST' || method === 'PUT' ? globalThis.crypto.randomUUID() : undefined);
    let windows = 0;
    let hasRenewed = false;
    for (let attempt = 1; ; attempt += 1) {
      const bearer = this.#credentials ? this.#credentials.bearer() : this.#options.apiKey;
      let failure: EdgeMLError;
      let waitMs: number | undefined;
      try {
        const answer = await this.#once(method, path, options, { key, bearer });
        if (answer.status < 400 || answer.status === 416) return answer;
        if (answer.status === 401 && !hasRenewed && (await this.#credentials?.renew(bearer))) {
          hasRenewed = true;
          attempt -= 1;
          continue;
        }
        failure = errorFrom(answer.status, problemOf(answer));
        if (!RETRIED.has(answer.status)) throw failure;
        const after = Number(answer.headers.get('retry-after'));
        if (Number.isFinite(after) && after > 0) waitMs = after * 1000;
        const moment = momentOf(answer);
        if (moment !== undefined && windows < MOST_WINDOWS) {
          windows += 1;
          attempt -= 1;
          waitMs = moment;
        }
      } catch (error) {
        if (!(error instanceof Unreachable) && !(error instanceof Timeout)) throw error;
        failure = error;
      }
      if (attempt >= attempts || options.signal?.aborted) throw failure;
      await sleep(waitMs ?? Math.random() * Math.min(8000, 500 * 2 ** attempt), options.signal);
    }
  }

  async #once(
    method: string,
    path: string,
    options: RequestOptions,
    { key, bearer }: { readonly key: string | undefined; readonly bearer: string | undefined },
  ): Promise<Answer> {
    const url = new URL(path.startsWith('http') ? path : this.baseUrl + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers = new Headers(options.headers);
    // A signed link is whole in itself: the key goes to our own server only.
    if (bearer && url.origin === new URL(this.baseUrl).origin && !url.searchParams.has('sig')) {
      headers.set('authorization', `Bearer ${bearer}`);
    }
    if (key) headers.set('idempotency-key', key);
    let body: string | Uint8Array<ArrayBuffer> | undefined;
    if (options.raw)
      body = options.raw as Uint8Array<ArrayBuffer>; // fetch takes any view; only the buffer's type is wider
    else if (options.body !== undefined) {
      headers.set('content-type', 'application/json');
      body = JSON.stringify(options.body);
    }
    const bytesToSend = typeof body === 'string' ? new TextEncoder().encode(body).length : (body?.length ?? 0);
    const watched = watchSilence(this.#options.timeoutMs ?? 20_000, bytesToSend, options.signal);
    try {
      const init = { method, headers, signal: watched.signal, ...(body === undefined ? {} : { body }) };
      const response = await this.#fetch(url, init);
      watched.heard();
      const heard = (piece: Uint8Array) => {
        watched.heard();
        if (response.ok) options.onBytes?.(piece);
      };
      return { status: response.status, headers: response.headers, bytes: await readBody(response, heard) };
    } catch (cause) {
      const ended = watched.ended();
      if (ended === 'caller')
        throw new Timeout(`${method} ${url.pathname} was aborted`, 0, undefined, { cause, code: 'aborted' });
      if (ended === 'silence') {
        const detail = `${method} ${url.pathname} had no answer in time: the server fell silent`;
        throw new Timeout(detail, 0, undefined, { cause, code: 'timeout' });
      }
      throw new Unreachable(`${method} ${url.href} could not be reached`, 0, undefined, { cause, code: 'unreachable' });
    } finally {
      watched.release();
    }
  }
}

function problemOf(answer: Answer): Problem {
  const text = new TextDecoder().decode(answer.bytes);
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed && typeof parsed === 'object' && 'code' in parsed && 'detail' in parsed) return parsed as Problem; // shape just checked
  } catch {
    // Not JSON: something between us and the server answered; its text is the detail.
  }
  return { code: 'server_error', detail: cutText(text, 500) || `HTTP ${answer.status}`, status: answer.status };
}
