/** Requests against their schemas: one compiler for bodies, which takes values as they are, and one for texts of the URL. */
import { Ajv, type ErrorObject } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { LifecycleError } from '../../domain/errors.ts';
import { LINES, ONE_LINE } from '../../wire/common.ts';
import { checkJson } from '../../domain/hash/soundJson.ts';
import { stepInto } from '../../domain/jsonPointer.ts';

const options = { allErrors: true, strict: false, useDefaults: true, removeAdditional: false, verbose: true } as const;
const ofBodies = new Ajv({ ...options, coerceTypes: false });
const ofTexts = new Ajv({ ...options, coerceTypes: true });
const SHOWN = 20;

/** @throws (through Fastify) LifecycleError `unknown_field` or `invalid_input`, with a JSON pointer per member */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const isBody = httpPart === 'body';
  const prefix = isBody ? '' : `/${httpPart ?? ''}`;
  const validate = (isBody ? ofBodies : ofTexts).compile(schema);
  return (value: unknown) => {
    const unsound = isBody ? undefined : unsoundIn(value, prefix); // of a body, the parser has asked already
    if (unsound) return { error: unsound };
    if (validate(value)) return { value };
    return { error: refusalOf(validate.errors ?? [], prefix) };
  };
};

/** Why some reader could not hold a text of the URL. */
function unsoundIn(value: unknown, prefix: string): LifecycleError | undefined {
  try {
    checkJson(value, undefined, prefix);
    return undefined;
  } catch (error) {
    if (error instanceof LifecycleError) return error;
    throw error;
  }
}

function refusalOf(found: readonly ErrorObject[], prefix: string): LifecycleError {
  const unknown = found.filter((e) => e.keyword === 'additionalProperties' && !isInUnion(e));
  if (unknown.length > 0) {
    const errors = unknown.slice(0, SHOWN).map((e) => {
      const name = String(e.params['additionalProperty']);
      return { pointer: stepInto(`${prefix}${e.instancePath}`, name), detail: `${name} is not a member of this route` };
    });
    const names = errors.map((e) => e.pointer).join(', ');
    return new LifecycleError('unknown_field', `This route does not know ${names}. Remove it.`, { errors });
  }
  const errors = found
    .filter((e) => e.keyword !== 'anyOf' || found.length === 1)
    .slice(0, SHOWN)
    .map((e) => ({ pointer: `${prefix}${e.instancePath}${missing(e)}`, detail: sentence(e) }));
  const first = errors[0];
  return new LifecycleError(
    'invalid_input',
    first
      ? `${first.pointer === '' ? 'The body' : first.pointer} ${first.detail}.`
      : 'The request does not fit its schema.',
    { errors },
  );
}

/** A branch of a union may refuse a member that another branch knows. */
const isInUnion = (error: ErrorObject) => /\/(anyOf|oneOf)\//.test(error.schemaPath);
const missing = (e: ErrorObject) => (e.keyword === 'required' ? stepInto('', String(e.params['missingProperty'])) : '');

/** What the schema says that the missing member is, where it says so. */
function meaningOf({ parentSchema, params }: ErrorObject): string {
  const { properties } = (parentSchema ?? {}) as { properties?: Record<string, { description?: string }> }; // JSON Schema
  const meaning = properties?.[String(params['missingProperty'])]?.description;
  return meaning === undefined ? '' : `: send ${meaning}`;
}

function sentence(error: ErrorObject): string {
  if (error.keyword === 'required') return `is missing${meaningOf(error)}`;
  if (error.keyword === 'pattern' && error.params['pattern'] === ONE_LINE)
    return 'must be one line without control characters';
  if (error.keyword === 'pattern' && error.params['pattern'] === LINES)
    return 'must have no control characters but tabs and line ends';
  if (error.keyword === 'pattern') return `does not look as expected (${String(error.params['pattern'])})`;
  if (error.keyword === 'const') return `must be ${JSON.stringify(error.params['allowedValue'])}`;
  return error.message ?? 'does not fit';
}

/** On the EdgeML API `null` means absent: removed from objects, at any depth. Arrays keep their length. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutNulls(member)]));
}
