/** Reading and checking the record: events, streams, replay, verify; and keys. */
import { EdgeMLError, type Problem } from './errors.ts';
import { segment, pick } from './registry.ts';
import type { Answer, CallOptions, Http } from './http.ts';
import { itemsOf } from './pages.ts';
import { tellProgress } from './progress.ts';
import type {
  AuditResult,
  CheckpointView,
  EventPage,
  Key,
  KeyCreated,
  Me,
  RebuildResult,
  Org,
  OrgCreated,
  Replay,
  Role,
  Stream,
  VerifyRequest,
} from './types.ts';

const own = '/lifecycle/v1';

export class Audit {
  readonly #http: Http;
  constructor(http: Http) {
    this.#http = http;
  }

  /** Facts from a position on, in log order. */
  events(
    q: { from?: number; limit?: number; kind?: string; type?: string; model?: string; cursor?: string } = {},
    o: CallOptions & { asOf?: string } = {},
  ): Promise<EventPage> {
    return this.#http.json('GET', `${own}/events`, { query: { ...q, as_of: o.asOf }, signal: o.signal });
  }

  /** The state of a stream, and all its facts, page by page. */
  async stream(name: string, o: CallOptions & { asOf?: string } = {}): Promise<Stream> {
    const events: Stream['events'] = [];
    let after: number | undefined;
    for (;;) {
      const query = { as_of: o.asOf, after };
      const page = await this.#http.json<Stream>('GET', `${own}/streams/${segment(name)}`, { query, signal: o.signal });
      for (const event of page.events) events.push(event);
      if (page.next_after == null) return { ...page, events };
      after = page.next_after;
    }
  }

  /** Each fact of a stream with the state before and after it. `to`: a position, `event:<id>`, or a time. */
  async replay(stream: string, to?: string, o: CallOptions = {}): Promise<Replay> {
    type Item = Replay['items'][number];
    const items = await itemsOf<Item>(this.#http, `${own}/audit/replay`, { stream, to }, o.signal);
    return { items, next_cursor: null };
  }

  /**
   * Checks the whole log, also against checkpoints that you kept. Every finding is listed; `passed` is the verdict. It may take minutes;
   * the time limit is one of silence, and the server tells progress, in facts: of the phase `log`, then of `read_model`.
   *
   * @throws EdgeMLError `conflict` while another audit runs
   */
  async verify(v: VerifyRequest = {}, o: CallOptions = {}): Promise<AuditResult['result']> {
    const options = { body: v, onBytes: tellProgress('log', o.onProgress), ...pick(o) };
    return lastOf<AuditResult>(await this.#http.send('POST', `${own}/audit/verify`, options));
  }

  /** Makes a read model again from the log. @throws EdgeMLError `conflict` while another rebuild of it runs */
  async rebuild(name: string, o: CallOptions = {}): Promise<RebuildResult['result']> {
    const path = `${own}/admin/read-models/${segment(name)}/rebuild`;
    const options = { body: {}, onBytes: tellProgress('read_model', o.onProgress), ...pick(o) };
    return lastOf<RebuildResult>(await this.#http.send('POST', path, options));
  }

  /** The newest checkpoint, to be kept elsewhere; `text` is what `verify` takes. */
  checkpoint(o: CallOptions = {}): Promise<CheckpointView> {
    return this.#http.json('GET', `${own}/audit/checkpoint`, { signal: o.signal });
  }

  createKey(k: { name: string; roles: Role[] }, o: CallOptions = {}): Promise<KeyCreated> {
    return this.#http.json('POST', `${own}/keys`, { body: k, ...pick(o) });
  }
  listKeys(o: CallOptions = {}): Promise<readonly Key[]> {
    return itemsOf<Key>(this.#http, `${own}/keys`, {}, o.signal);
  }
  revokeKey(id: string, o: CallOptions = {}): Promise<Key> {
    return this.#http.json('POST', `${own}/keys/${segment(id)}/revoke`, { body: {}, ...pick(o) });
  }
  whoAmI(o: CallOptions = {}): Promise<Me> {
    return this.#http.json('GET', `${own}/access/me`, { signal: o.signal });
  }

  /** An organisation, and the key of its first admin, which is shown this once. Needs the role `instance`. */
  createOrg(org: { name: string; id?: string }, o: CallOptions = {}): Promise<OrgCreated> {
    return this.#http.json('POST', `${own}/orgs`, { body: org, ...pick(o) });
  }
  listOrgs(o: CallOptions = {}): Promise<readonly Org[]> {
    return itemsOf<Org>(this.#http, `${own}/orgs`, {}, o.signal);
  }
}

/** The end of a stream of progress. @throws EdgeMLError the problem that stopped it after it had begun */
function lastOf<T extends { readonly result: unknown }>({ bytes }: Answer): T['result'] {
  const last = new TextDecoder().decode(bytes).trim().split('\n').at(-1)!;
  const line = JSON.parse(last) as T | { readonly error: Problem }; // the last line, by the route's schema
  if ('result' in line) return line.result;
  throw new EdgeMLError(line.error.detail, line.error.status, line.error);
}
