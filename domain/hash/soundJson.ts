/**
 * Pure. Which JSON every reader holds: Postgres `text` and `jsonb`, RFC 8785, JavaScript numbers, whoever walks it by recursion.
 * Asked of each value before it is hashed or stored.
 */
import { LifecycleError } from '../errors.ts';
import { stepInto } from '../jsonPointer.ts';

/** Objects and arrays within each other. */
export const MAX_DEPTH = 64;

const UNSTORABLE = /\u0000|\p{Surrogate}/u;
const PROTOTYPE = '__proto__';

/** The part of a JSON Schema that says where a number need not be an exact integer. */
export interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape | readonly Shape[];
  readonly anyOf?: readonly Shape[];
}
/** Alternatives; none: the member is free. `undefined`: any finite number will do. */
type Shapes = readonly Shape[] | undefined;

/** @throws LifecycleError `invalid_input`, always */
export function refuseMember(pointer: string, detail: string): never {
  const where = pointer === '' ? 'The value' : `The member ${JSON.stringify(pointer)}`;
  throw new LifecycleError('invalid_input', `${where} ${detail}.`, { errors: [{ pointer, detail }] });
}

/** A text that cannot be stored cannot be sent back either: U+FFFD stands where it is wrong. */
export const printable = (text: string) => text.replace(/\0|\p{Surrogate}/gu, '\ufffd');

/** @throws LifecycleError `invalid_input` for U+0000 and for half of a surrogate pair */
export function checkText(text: string, pointer: string): void {
  if (!UNSTORABLE.test(text)) return;
  const what = text.includes('\0') ? 'U+0000' : 'half of a surrogate pair';
  refuseMember(pointer, `contains ${what}, which cannot be stored as text`);
}

/** The shapes that a member may have: several where the schema offers alternatives. */
function shapesOf(shapes: Shapes, key: string | number): Shapes {
  return shapes?.flatMap((shape): readonly Shape[] => {
    if (shape.anyOf) return shapesOf(shape.anyOf, key) ?? [];
    if (typeof key === 'number') {
      const { items = [] } = shape;
      return 'length' in items ? items.slice(key, key + 1) : [items];
    }
    const own = Object.hasOwn(shape.properties ?? {}, key) ? shape.properties?.[key] : undefined;
    return own ? [own] : Object.values(shape.patternProperties ?? {});
  });
}
const allowsFraction = (shapes: Shapes): boolean =>
  shapes === undefined ||
  shapes.some((shape) => shape.type === 'number' || (shape.anyOf && allowsFraction(shape.anyOf)));

/** An integer that double precision cannot tell from its neighbour may not be the one that was sent. */
function checkNumber(value: number, pointer: string, shapes: Shapes): void {
  if (!Number.isFinite(value)) refuseMember(pointer, 'is not a finite number, so JSON cannot hold it');
  if (!Number.isInteger(value) || Number.isSafeInteger(value) || allowsFraction(shapes)) return;
  refuseMember(pointer, `is an integer beyond ${Number.MAX_SAFE_INTEGER}; send it as text`);
}

function checkValue(value: unknown, pointer: string, shapes: Shapes, depth: number): void {
  if (typeof value === 'string') return checkText(value, pointer);
  if (typeof value === 'number') return checkNumber(value, pointer, shapes);
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DEPTH) refuseMember(pointer, `is nested deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    value.forEach((one: unknown, i) => checkValue(one, stepInto(pointer, i), shapesOf(shapes, i), depth + 1));
    return;
  }
  for (const [key, one] of Object.entries(value)) {
    const at = stepInto(pointer, printable(key));
    checkText(key, at);
    if (key === PROTOTYPE) refuseMember(at, `is called ${PROTOTYPE}, which readers take for something else`);
    checkValue(one, at, shapesOf(shapes, key), depth + 1);
  }
}

/**
 * @param schema JSON Schema of the value; where it says `number` any finite one passes, elsewhere integers must be exact.
 *               Absent: any finite number passes
 * @param at     pointer to the value itself
 * @throws LifecycleError `invalid_input` with the RFC 6901 pointer of the first member that not every reader holds
 */
export function checkJson(value: unknown, schema?: Shape, at = ''): void {
  checkValue(value, at, schema && [schema], 0);
}
