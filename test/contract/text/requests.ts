/** Good requests with one text of each replaced by a hostile one, at every place of an operation where a text goes. */
import { randomUUID } from 'node:crypto';
import type { Sent } from './client.ts';
import { textMembers, type Operation, type TextMember } from './document.ts';
import { atLimits, HOSTILE, inHeader, inUrl, type Hostile } from './hostileTexts.ts';
import { placed, routeOf, sample, type Sample, type Things } from './samples.ts';

export interface Case {
  readonly what: string;
  readonly operation: Operation;
  readonly sent: Sent;
}

/** One place of one operation. Undefined where the hostile text cannot be sent there. */
interface Target {
  readonly what: string;
  readonly limits: readonly number[];
  put(hostile: Hostile): Sent | undefined;
}

/** Stands where the bytes of the hostile text go. */
const MARK = '@@hostile@@';
/** Headers of a request that are read, kept or shown. */
const HEADERS = [
  'idempotency-key',
  'if-match',
  'if-none-match',
  'x-request-id',
  'x-org-id',
  'edgeml-lease',
  'prefer',
  'repr-digest',
  'accept',
  'range',
  'user-agent',
  'authorization',
  'content-type',
];
/** Runs that look at the whole log: one is enough to know the answer. */
const LONG = /\/(verify|rebuild)$/;
/** Longer ones are refused by Node before any of ours; `brokenRequests.int.test.ts` has that. */
const MOST_URL = 12_000;
/** Where free objects and what devices say are cut. */
const CUTS = [100, 500];

export interface Access {
  readonly secret: string;
  readonly lease: string;
}

function assemble(
  access: Access,
  { method, path }: Operation,
  good: Sample,
  more: {
    readonly path?: Readonly<Record<string, string>>;
    readonly query?: string;
    readonly body?: Buffer;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Sent | undefined {
  const encoded = (text: string) => encodeURIComponent(text);
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => more.path?.[name] ?? encoded(good.path[name] ?? 'x'));
  const query = [...Object.entries(good.query).map(([name, value]) => `${name}=${encoded(value)}`), more.query ?? ''];
  const asked = query.filter((part) => part !== '').join('&');
  const target = asked === '' ? filled : `${filled}?${asked}`;
  if (target.length > MOST_URL) return undefined;
  const isUpload = method === 'PUT' && good.body === undefined;
  const json = good.body === undefined ? undefined : Buffer.from(JSON.stringify(good.body));
  const body = more.body ?? (isUpload ? Buffer.from('bytes of A') : json);
  const headers = {
    authorization: `Bearer ${access.secret}`,
    'edgeml-lease': access.lease,
    'idempotency-key': randomUUID(),
    ...(body === undefined ? {} : { 'content-type': isUpload ? 'application/octet-stream' : 'application/json' }),
    ...more.headers,
  };
  return { method, target, headers, body };
}

/** The good request itself, as a dry run where there is one. */
export function goodRequest(access: Access, things: Things, operation: Operation): Sent {
  const isDry = operation.parameters.some((p) => p.name === 'dry_run');
  return assemble(access, operation, sample(things, operation), isDry ? { query: 'dry_run=true' } : {})!;
}

function bodyWith(
  good: Sample,
  operation: Operation,
  { place, isKey }: TextMember,
  json: Buffer,
  things: Things,
): Buffer {
  const where = isKey ? [...place, MARK] : place;
  const marked = JSON.stringify(placed(good.body ?? {}, operation.body!, where, isKey ? 1 : MARK, things));
  const at = marked.indexOf(MARK);
  return Buffer.concat([Buffer.from(marked.slice(0, at)), json, Buffer.from(marked.slice(at + MARK.length))]);
}

function targetsOf(access: Access, things: Things, operation: Operation): Target[] {
  const good = () => sample(things, operation);
  const parameters = operation.parameters.map((p): Target => ({
    what: `${p.in} ${p.name}`,
    limits: p.schema.maxLength === undefined ? [] : [p.schema.maxLength],
    put(hostile) {
      if (p.in === 'path') return assemble(access, operation, good(), { path: { [p.name]: inUrl(hostile) } });
      const { [p.name]: _, ...query } = good().query;
      return assemble(access, operation, { ...good(), query }, { query: `${p.name}=${inUrl(hostile)}` });
    },
  }));
  const undeclared: Target = {
    what: 'a query member nobody knows',
    limits: [],
    put: (hostile) => assemble(access, operation, good(), { query: `${inUrl(hostile)}=${inUrl(hostile)}` }),
  };
  const members = (operation.body ? textMembers(operation.body) : []).map((place): Target => ({
    what: `body /${place.place.join('/')}${place.isKey ? ' (a name)' : ''}`,
    limits: place.schema.maxLength === undefined ? CUTS : [place.schema.maxLength],
    put: ({ json }) => assemble(access, operation, good(), { body: bodyWith(good(), operation, place, json, things) }),
  }));
  const headers = (LONG.test(operation.path) ? [] : HEADERS).map((name): Target => ({
    what: `header ${name}`,
    limits: [],
    put(hostile) {
      const value = inHeader(hostile);
      return value === undefined ? undefined : assemble(access, operation, good(), { headers: { [name]: value } });
    },
  }));
  return [...parameters, undeclared, ...members, ...headers];
}

/** Fisher and Yates. */
export function shuffled<T>(all: readonly T[], random: () => number): T[] {
  const list = [...all];
  for (let i = list.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}

/**
 * The requests of an operation: at every place some of the hostile texts, by `random`, and those at its limits.
 *
 * @param share how many hostile texts a place gets; a header, and a run over the whole log, a fifth
 */
export function casesOf(
  access: Access,
  things: Things,
  operation: Operation,
  random: () => number,
  share: number,
): Case[] {
  return targetsOf(access, things, operation).flatMap(({ what, limits, put }) => {
    const few = what.startsWith('header') || LONG.test(operation.path);
    const some = shuffled(HOSTILE, random).slice(0, few ? Math.ceil(share / 5) : share);
    return [...some, ...atLimits(limits)].flatMap((hostile) => {
      const sent = put(hostile);
      return sent ? [{ what: `${routeOf(operation)}: ${what} = ${hostile.what}`, operation, sent }] : [];
    });
  });
}
