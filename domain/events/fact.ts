/** Pure. How a fact is declared: a name, a schema version, and the JSON Schema of its data, from which its type follows. */
import type { ModelId, Semver, Sha256 } from '../brands.ts';
import Type, { type Static, type TObject, type TProperties, type TSchema } from 'typebox';

export interface FactDef<T extends string = string, S extends TSchema = TSchema> {
  readonly type: T;
  readonly schemaVersion: number;
  readonly schema: S;
}

/** Declares a fact of schema version 1. Unknown members are refused: a typo in a fact would live for ever. */
export function fact<T extends string, P extends TProperties>(type: T, properties: P): FactDef<T, TObject<P>> {
  return { type, schemaVersion: 1, schema: Type.Object(properties, { additionalProperties: false }) };
}

/** The union `{type, data}` of a table of declarations. */
export type FactOf<Defs extends Record<string, FactDef>> = {
  [K in keyof Defs]: Defs[K] extends FactDef<infer T, infer S> ? { readonly type: T; readonly data: Static<S> } : never;
}[keyof Defs];

// Members that many facts share.
export const Nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
export const Sha256Text = Type.Unsafe<Sha256>(Type.String({ pattern: '^[0-9a-f]{64}$' }));
export const SemverText = Type.Unsafe<Semver>(Type.String({ minLength: 5, maxLength: 64 }));
export const ModelIdText = Type.Unsafe<ModelId>(Type.String({ maxLength: 200 }));
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const Instant = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' });
export const Counts = Type.Record(Type.String(), Count);
export const Figures = Type.Object({ loss: Nullable(Type.Number()), accuracy: Nullable(Type.Number()), n: Count });
export type Figures = Static<typeof Figures>;
