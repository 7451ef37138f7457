/** What /openapi.json says of requests: parameters, bodies, and every place in them where a text goes. */

export interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly minItems?: number;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** Of a JSON body. */
  readonly body: Schema | undefined;
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly parameters?: readonly Parameter[];
            readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> };
          }
        >
      >
    >
  >;
}

export const operationsOf = ({ paths }: Document): Operation[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: requestBody?.content?.['application/json']?.schema,
    })),
  );

/** Names of members, and positions in arrays, from the root of a body. */
export type JsonPath = readonly (string | number)[];

export interface TextMember {
  readonly place: JsonPath;
  readonly schema: Schema;
  /** The text is the name of a member. */
  readonly isKey?: true;
}

/** An object whose members the schema does not name: whatever is in it is stored or ignored as it is. */
const isFree = ({ type, properties, patternProperties, additionalProperties }: Schema) =>
  type === 'object' &&
  (additionalProperties === true || (properties === undefined && additionalProperties !== false)) &&
  Object.keys(patternProperties ?? {}).every((p) => p === '^.*$' || p === '^(.*)$');

/** Every place below where a text goes, keys of free objects too. */
export function textMembers(schema: Schema, place: JsonPath = []): TextMember[] {
  if (schema.anyOf) return schema.anyOf.flatMap((one) => textMembers(one, place));
  if (schema.type === 'string' && schema.const === undefined) return [{ place, schema }];
  if (schema.items) return textMembers(schema.items, [...place, 0]);
  if (schema.type !== 'object') return [];
  const named = Object.entries(schema.properties ?? {}).flatMap(([name, one]) => textMembers(one, [...place, name]));
  const keyed: TextMember[] = [{ place, schema: {}, isKey: true }];
  if (!isFree(schema)) return [...named, ...keyed];
  const [deep, list] = [
    [...place, 'free', 'deep'],
    [...place, 'list', 0],
  ];
  return [
    ...named,
    ...keyed,
    { place: deep, schema: {} },
    { place: deep, schema: {}, isKey: true },
    { place: list, schema: {} },
  ];
}
