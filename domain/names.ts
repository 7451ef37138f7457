/** Pure. Names that people give: one spelling is stored, and every other spelling of it finds it again. */
import { refuseMember } from './hash/soundJson.ts';

const MODEL_NAME_MOST = 200;
const LABEL_MOST = 200;

export interface Spelled {
  readonly name: string;
  /** What was changed, as sentences for the caller; empty where the name is stored as sent. */
  readonly changes: readonly string[];
}

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Words that stand where a model's name stands in a path, and the two that clients remove from one. */
const PATH_WORDS = new Set([
  '.',
  '..',
  'latest',
  'rounds',
  'sessions',
  'aggregate',
  'weights',
  'tasks',
  'checkin',
  'personalized',
  'active',
  'default',
]);

/** What nobody sees, or what moves what one sees: controls, format and direction characters, fillers, what is unassigned. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** The spelling that is stored: composed (NFC), without space at its ends. Doing it twice changes nothing. */
const spell = (text: string) => text.normalize('NFC').trim();

function changesOf(text: string, name: string): string[] {
  const shown = JSON.stringify(name);
  return [
    ...(text.trim() === text ? [] : [`space at an end was removed: the name is ${shown}`]),
    ...(text.normalize('NFC') === text ? [] : [`the name is stored in normal form C: ${shown}`]),
  ];
}

function unseenIn(name: string): string | undefined {
  const found = UNSEEN.exec(name)?.[0];
  if (found === undefined) return undefined;
  const point = found.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return `has the character U+${point}, which nobody sees or types`;
}

/**
 * The name of a model, as it is stored.
 *
 * @throws LifecycleError `invalid_input` at `/name` for what is empty or longer than 200 characters, has unseen characters or a space
 *   that is not U+0020, has ":" or "/" (a name stands in paths, and a `:suffix` is cut off where one is looked up), is a UUID, or is
 *   a word of paths
 */
export function modelNameFrom(text: string): Spelled {
  const name = spell(text);
  const problem =
    lengthProblem(name, MODEL_NAME_MOST) ??
    unseenIn(name) ??
    (/[^\P{Zs} ]/u.test(name) ? 'has a space that is not U+0020' : undefined) ??
    (/[:/]/.test(name) ? 'has ":" or "/", which mean something else in paths' : undefined) ??
    (UUID.test(name) ? 'is a UUID, and so would be read as an id' : undefined) ??
    (PATH_WORDS.has(foldName(name)) ? 'is a word that stands in paths' : undefined);
  return accepted(text, name, problem);
}

/**
 * The name of a key or an organisation: nothing is found by it, but people read it.
 *
 * @throws LifecycleError `invalid_input` at `/name` for what is empty or longer than 200 characters, or has unseen characters
 */
export function labelFrom(text: string): Spelled {
  const name = spell(text);
  return accepted(text, name, lengthProblem(name, LABEL_MOST) ?? unseenIn(name));
}

function accepted(text: string, name: string, problem: string | undefined): Spelled {
  return problem === undefined ? { name, changes: changesOf(text, name) } : refuseMember('/name', problem);
}

function lengthProblem(name: string, most: number): string | undefined {
  const length = [...name].length;
  return length >= 1 && length <= most ? undefined : `has ${length} characters; 1 to ${most} are taken`;
}

/**
 * What all spellings of a name have in common: ids are made from it. Space at the ends, normal form and case do not count; no
 * language of the machine matters, and folding twice changes nothing. Small sigma is one letter in both its shapes: which one
 * lower case gives depends on the letters around it. "ß" and "ss" stay two spellings, and so do "i" and dotless "ı".
 */
export const foldName = (text: string): string => spell(spell(text).toLowerCase().replaceAll('\u03c2', '\u03c3'));
