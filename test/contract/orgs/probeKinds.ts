/** Kinds of what B tries on a route of A. */
import type { CallOptions } from '../testApi.ts';
import type { TwoOrgs } from './twoOrgs.ts';

/**
 * `absent`: 404. `empty`: 200 with no item. `own`: 200, of B's own things. `refused`: 4xx that says nothing of A. `open`: needs no key, tells nothing of
 * organisations. `not_offered`: 501.
 */
export type Expected = 'absent' | 'empty' | 'own' | 'refused' | 'open' | 'not_offered';

export interface Probe {
  readonly path: string;
  readonly expected: Expected;
  readonly options?: Omit<CallOptions, 'as'>;
}

export type Probes = (two: TwoOrgs, url: string) => readonly Probe[];

export const REASON = { reason: 'B asks' };

/** The path with A's ids in place of its parameters; `more` comes first. */
export function withIdsOfA({ a }: TwoOrgs, url: string, more: Readonly<Record<string, string | number>> = {}): string {
  const values: Readonly<Record<string, string | number>> = {
    ...{ model: a.model, m: a.model, version: a.version, v: a.version, rollout: a.rollout, r: a.rollout, run: a.run },
    ...{
      task: a.task,
      device: a.device,
      d: a.device,
      sha256: a.blob,
      id: a.event,
      key: a.key,
      stream: `model-${a.model}`,
    },
    ...more,
  };
  return url.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(values[name] ?? 'x'));
}

export const one =
  (expected: Expected, options: Probe['options'] = {}): Probes =>
  (two, url) => [{ path: withIdsOfA(two, url), expected, options }];

/** A's things, by the id and by the name of its model: no such model. */
export const absent =
  (body?: unknown): Probes =>
  (two, url) => {
    const options = body === undefined ? {} : { body };
    const texts = url.includes(':model')
      ? [two.a.model, two.a.modelName, two.a.learner, `${two.a.model}:latest`]
      : [''];
    return texts.map((model) => ({ path: withIdsOfA(two, url, { model }), expected: 'absent', options }));
  };

/** The same, and A's rollout under a model of B. */
export const absentRollout =
  (body?: unknown): Probes =>
  (two, url) => [
    ...absent(body)(two, url),
    {
      path: withIdsOfA(two, url, { model: two.b.model }),
      expected: 'absent',
      options: body === undefined ? {} : { body },
    },
  ];

/** Points of the log that are A's, on a read that takes them. */
export const points = ({ a }: TwoOrgs, path: string): Probe[] => [
  { path: `${path}?as_of=event:${a.event}`, expected: 'absent' },
  { path: `${path}?min_position=event:${a.event}`, expected: 'absent' },
];

/** A list: B's own things; at A's event, none; with A's cursor, a refusal; filtered by A's model, empty. */
export const list =
  (filters: (two: TwoOrgs) => readonly string[]): Probes =>
  (two, url) => [
    { path: url, expected: 'own' },
    { path: `${url}?limit=500`, expected: 'own' },
    ...points(two, url),
    { path: `${url}?cursor=${two.a.cursors[url.replace('/lifecycle/v1', '')] ?? ''}`, expected: 'refused' },
    ...filters(two).map((filter): Probe => ({ path: `${url}?${filter}`, expected: 'empty' })),
  ];

export const files = (sha256: string) => ({ files: [{ format: 'safetensors', sha256 }] });
export const octets = { 'content-type': 'application/octet-stream' };
export const registration = { name: 'shared', framework: 'pytorch', use_case: 'test' };

export const streamsOfA = ({ a }: TwoOrgs) => [
  `model-${a.model}`,
  `version-${a.model}@${a.version}`,
  `training-${a.run}`,
  `rollout-${a.rollout}`,
];

/** Whole, a range, and with a hash that the caller claims to have. */
export function blobProbes(two: TwoOrgs, url: string): Probe[] {
  return [two.a.blob, two.a.weights, two.a.heldOut].flatMap((sha256) =>
    [{}, { range: 'bytes=0-1' }, { 'if-none-match': `"${sha256}"` }].map((headers) => ({
      path: withIdsOfA(two, url, { sha256 }),
      expected: 'absent' as const,
      options: { headers },
    })),
  );
}

/** With the very lease that A's device holds, and with none of it. */
export const held = (
  two: TwoOrgs,
  url: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly [more: string]: unknown } = {},
): Probe[] =>
  [two.a.lease, 'a guess'].map((lease) => ({
    path: withIdsOfA(two, url),
    expected: 'absent',
    options: { ...options, headers: { ...options.headers, 'edgeml-lease': lease } },
  }));

export function assignmentProbes(two: TwoOrgs, url: string): Probe[] {
  const { a, b } = two;
  const pairs = [
    [a.device, a.model],
    [a.device, b.model],
    [a.identifier, b.model],
    [b.device, a.model],
    [b.device, a.modelName],
    [b.device, `${a.model}:1.0.0`],
  ] as const;
  return pairs.map(([device, model]) => ({ path: withIdsOfA(two, url, { device, model }), expected: 'absent' }));
}

/** For a route that has no line because it serves nothing: it must say so. */
export const notOffered = (method: string): Probes => one('not_offered', method === 'GET' ? {} : { body: {} });
