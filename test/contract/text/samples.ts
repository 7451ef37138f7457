/** A good request for every operation, made from its schema and from what is known to exist. */
import type { Known } from '../orgs/twoOrgs.ts';
import type { Operation, Parameter, JsonPath, Schema } from './document.ts';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Sample {
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: Json | undefined;
}

export interface Things {
  readonly a: Known;
  /** A model with version 1.0.0, of which rollouts are made. */
  readonly rolledOut: string;
  /** A rollout that is still to start, of that model. */
  readonly pending: number;
  /** A key that nobody uses. */
  readonly key: string;
  /** Another at every call. */
  readonly next: () => number;
}

/** Values of members and parameters, by name. */
const byName = ({ a, next, key }: Things): Readonly<Record<string, Json>> => ({
  ...{ model: a.model, version: a.version, rollout: a.rollout, run: a.run, task: a.task, device: a.device, key },
  federation: a.federation,
  ...{ device_id: a.device, device_identifier: `phone-${next()}`, sha256: a.blob, new_version: `9.${next()}.0` },
  ...{ id: a.event, stream: `model-${a.model}`, code: 'invalid_input', limit: 1, seq: next() + 10 },
  ...{ kind: 'mlp:relu:sigmoid', framework: 'pytorch', use_case: 'test', reason: 'asked', text: 'asked' },
  ...{ name: `name-${next()}`, format: 'safetensors', roles: ['viewer'], fast: true, dry_run: false },
});

/** Where one route means another thing by a name. */
const byRoute = ({
  a,
  next,
  rolledOut,
  pending,
}: Things): Readonly<Record<string, Readonly<Record<string, Json>>>> => ({
  'POST /lifecycle/v1/models/{model}/versions': { version: `8.${next()}.0` },
  'POST /lifecycle/v1/models/{model}/versions/{version}/artifact': { version: '5.0.0' },
  'POST /lifecycle/v1/models/{model}/train': { model: a.learner, init_artifact: a.weights, base_version: '1.0.0' },
  'POST /lifecycle/v1/models/{model}/rollouts': { model: rolledOut },
  'POST /api/v1/models/{model}/rollouts': { model: rolledOut },
  'GET /api/v1/models/{model}/rollouts/{rollout}': { rollout: a.rollout },
  'POST /lifecycle/v1/rollouts/{rollout}/start': { rollout: pending },
  'POST /api/v1/models/{model}/rollouts/{rollout}/start': { model: rolledOut, rollout: pending },
  'GET /lifecycle/v1/operations/{id}': { id: `training:${a.run}` },
  'POST /lifecycle/v1/orgs': { id: `org_${next()}` },
  'POST /lifecycle/v1/admin/read-models/{name}/rebuild': { name: 'catalog' },
});

/** Parameters that every good request has, where a route knows them. */
const USUAL = ['limit', 'format'];

/** Optional members that make a request do more. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  'POST /lifecycle/v1/models/{model}/train': ['init_artifact'],
};

function sampleOf(schema: Schema, name: string, known: Readonly<Record<string, Json>>, also: readonly string[]): Json {
  const value = known[name];
  if (value !== undefined) return value;
  if (schema.anyOf) return sampleOf(schema.anyOf[0]!, name, known, also);
  if (schema.const !== undefined) return schema.const as Json; // a literal of JSON Schema is JSON
  if (schema.type === 'array') {
    return Array.from({ length: schema.minItems ?? 0 }, () => sampleOf(schema.items ?? {}, name, known, also));
  }
  if (schema.type === 'integer' || schema.type === 'number')
    return schema.minimum ?? (schema.exclusiveMinimum ?? 0) + 1;
  if (schema.type === 'boolean') return false;
  if (schema.type !== 'object') return schema.pattern?.includes('(ms|s|m|h|d)') ? '1h' : 'word';
  const wanted = [...(schema.required ?? []), ...also];
  const members = Object.entries(schema.properties ?? {}).filter(([member]) => wanted.includes(member));
  return Object.fromEntries(members.map(([member, one]) => [member, sampleOf(one, member, known, [])]));
}

export const routeOf = ({ method, path }: Operation) => `${method} ${path}`;

const inQuery = (value: Json) => (typeof value === 'string' ? value : JSON.stringify(value));

/** The least good request, and with it all that is known to exist. */
export function sample(things: Things, operation: Operation): Sample {
  const route = routeOf(operation);
  const known = { ...byName(things), ...byRoute(things)[route] };
  const textOf = ({ name, schema }: Parameter) => [name, inQuery(sampleOf(schema, name, known, []))] as const;
  const of = (where: Parameter['in']) => operation.parameters.filter((p) => p.in === where);
  return {
    path: Object.fromEntries(of('path').map(textOf)),
    query: Object.fromEntries(
      of('query')
        .filter((p) => p.required === true || USUAL.includes(p.name))
        .map(textOf),
    ),
    body: operation.body && sampleOf(operation.body, '', known, ALSO[route] ?? []),
  };
}

/** A copy with `value` at a place; what is missing on the way to it is made from the schema. */
export function placed(body: Json, schema: Schema, [step, ...rest]: JsonPath, value: Json, things: Things): Json {
  if (step === undefined) return value;
  const known = byName(things);
  const below = schema.anyOf?.find((one) => one.type === 'object' || one.type === 'array') ?? schema;
  const inner = (typeof step === 'number' ? below.items : below.properties?.[step]) ?? { type: 'object' };
  const missing = () => (typeof rest[0] === 'number' ? [] : sampleOf(inner, String(step), known, []));
  if (typeof step === 'number') {
    const list = Array.isArray(body) ? body : [];
    const first = list[step] ?? (rest.length > 0 ? sampleOf(inner, '', known, []) : null);
    return [placed(first, inner, rest, value, things), ...list.slice(1)];
  }
  const object = typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {};
  const own = Object.hasOwn(object, step) ? object[step]! : rest.length > 0 ? missing() : null;
  return { ...object, [step]: placed(own, inner, rest, value, things) };
}
