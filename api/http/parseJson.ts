/** JSON bodies, read once and refused with the place where they stop being JSON. */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../../domain/errors.ts';
import { checkJson } from '../../domain/hash/soundJson.ts';
import { cutText } from '../../domain/text.ts';
import { checkMemberNames } from './memberNames.ts';

/** A byte order mark is dropped (RFC 8259 section 8.1 allows that); no wrong byte is replaced. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The value of a JSON body, such that every reader holds it; an empty body is `{}`. Bare `NaN` and `Infinity`, which some clients
 * write, are not JSON.
 *
 * @throws LifecycleError `invalid_json` with line and column, also for bytes that are not UTF-8 and for two members of one name;
 *   `invalid_input` with a pointer to a text, key or number that cannot be stored, and for what is nested too deep
 */
export function parseJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  if (text.trim() === '') return {};
  const value = valueOf(text);
  checkMemberNames(text);
  checkJson(value);
  return value;
}

/** @throws LifecycleError `unsupported_media_type` for a body that says it is not UTF-8 */
export function checkCharset({ headers }: Pick<FastifyRequest, 'headers'>): void {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset === undefined || /^(utf-?8|us-ascii)$/i.test(charset)) return;
  throw new LifecycleError('unsupported_media_type', 'JSON is UTF-8 (RFC 8259). Send it without another charset.');
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new LifecycleError('invalid_json', 'The body is not UTF-8. Encode its texts as UTF-8.', {}, { cause: error });
  }
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const bare = findBareNumber(text);
    if (bare) {
      throw new LifecycleError(
        'invalid_json',
        `${bare.word} at ${placeOf(text, bare.at)} is not JSON; leave the member out.`,
      );
    }
    const at = offsetOf(error, text);
    const where = at === undefined ? '' : ` at ${placeOf(text, at)}`;
    throw new LifecycleError('invalid_json', `The body is not JSON${where}: ${parserMessage(error)}.`);
  }
}

const parserMessage = (error: unknown) =>
  error instanceof Error ? cutText(error.message.replace(/\s+/g, ' '), 200) : '';

function offsetOf(error: unknown, text: string): number | undefined {
  const message = parserMessage(error);
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
