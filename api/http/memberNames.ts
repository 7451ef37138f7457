/** Names of members in a JSON text. `JSON.parse` keeps the last of two with one name, and others keep the first. */
import { LifecycleError } from '../../domain/errors.ts';
import { printable } from '../../domain/hash/soundJson.ts';
import { cutText } from '../../domain/text.ts';

/** Texts, and what opens, closes and separates; the rest of a JSON text does not matter here. */
const TOKENS = /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|[{}[\],]/g;

const nameIn = (token: string): string => (token.includes('\\') ? String(JSON.parse(token)) : token.slice(1, -1));

/**
 * @param text JSON, which `JSON.parse` has accepted
 * @throws LifecycleError `invalid_json` for two members of one object with one name, and for one called `__proto__`, which
 *   reaches an object's prototype where it is copied carelessly
 */
export function checkMemberNames(text: string): void {
  /** The names so far of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let isNameNext = false;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : undefined);
      isNameNext = token === '{';
    } else if (token === '}' || token === ']') {
      open.pop();
      isNameNext = false;
    } else if (token === ',') {
      isNameNext = open.at(-1) !== undefined;
    } else if (isNameNext) {
      take(open.at(-1)!, nameIn(token));
      isNameNext = false;
    }
  }
}

function take(names: Set<string>, name: string): void {
  if (name === '__proto__') throw new LifecycleError('invalid_json', 'A member may not be called __proto__.');
  if (names.has(name)) {
    const shown = JSON.stringify(printable(cutText(name, 100)));
    throw new LifecycleError('invalid_json', `An object has two members called ${shown}. Send one.`);
  }
  names.add(name);
}
