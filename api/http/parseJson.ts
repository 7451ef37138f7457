/** JSON bodies, read once and refused with the place where they stop being JSON. */
import { LifecycleError } from '../../domain/errors.ts';

/**
 * The value of a JSON text; an empty body is `{}`. Bare `NaN` and `Infinity`, which some clients write, are not JSON.
 *
 * @throws LifecycleError `invalid_json` with line and column
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text, refusePrototype);
  } catch (error) {
    if (error instanceof LifecycleError) throw error;
    const bare = findBareNumber(text);
    if (bare) {
      throw new LifecycleError(
        'invalid_json',
        `${bare.word} at ${placeOf(text, bare.at)} is not JSON; leave the member out.`,
      );
    }
    const at = offsetOf(error, text);
    const where = at === undefined ? '' : ` at ${placeOf(text, at)}`;
    throw new LifecycleError('invalid_json', `The body is not JSON${where}: ${messageOf(error)}.`);
  }
}

/** A member of this name would reach an object's prototype where it is copied carelessly. */
function refusePrototype(key: string, value: unknown): unknown {
  if (key !== '__proto__') return value;
  throw new LifecycleError('invalid_json', 'A member may not be called __proto__.');
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message.replace(/\s+/g, ' ').slice(0, 200) : '');

function offsetOf(error: unknown, text: string): number | undefined {
  const message = messageOf(error);
  if (message.startsWith('Unexpected end')) return text.length;
  const found = /position (\d+)/.exec(message);
  return found ? Number(found[1]) : undefined;
}

/** The first NaN or Infinity outside a string. One pass: a string that never closes reaches to the end. */
function findBareNumber(text: string): { word: string; at: number } | undefined {
  const tokens = /"(?:[^"\\]|\\[\s\S])*(?:"|\\?$)|-?\b(?:NaN|Infinity)\b/g;
  for (const match of text.matchAll(tokens)) {
    if (!match[0].startsWith('"')) return { word: match[0], at: match.index };
  }
  return undefined;
}

function placeOf(text: string, at: number): string {
  const before = text.slice(0, at).split('\n');
  return `line ${before.length}, column ${before.at(-1)!.length + 1} (offset ${at})`;
}
