/** The values of options and arguments, parsed once and strictly: what is not meant as it stands is a usage error, never a default. */
import { readFileSync } from 'node:fs';
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { parseDuration } from '../domain/duration.ts';
import type { Filter } from '../domain/events/rollout.ts';
import { CliError, EXIT } from './exit.ts';

/** @throws InvalidArgumentError with what was expected */
export type Parse<T> = (value: string) => T;

const LONGEST_MS = 365 * 86_400_000;
const refuse = (expected: string): never => {
  throw new InvalidArgumentError(expected);
};

/** Something to read. */
export const text: Parse<string> = (value) => (value.trim() === '' ? refuse('It is empty.') : value);

/** A name, a version or an id that becomes one segment of a path. */
export const name: Parse<string> = (value) => (/^\.{0,2}$/.test(value.trim()) ? refuse('It names nothing.') : value);

/** A whole number within bounds, in decimal digits. */
export const whole =
  (least = 0, most = Number.MAX_SAFE_INTEGER): Parse<number> =>
  (value) => {
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    return refuse(
      `It is a whole number ${most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`}.`,
    );
  };

/** Checked here, sent as it was written. */
export const duration: Parse<string> = (value) => {
  const ms = parseDuration(value);
  if (ms !== undefined && ms <= LONGEST_MS) return value;
  return refuse('It is a duration with its unit, such as 200ms, 5s, 10m, 24h or 7d, and at most 365d.');
};

export const durationFlag: Parse<number> = (value) => parseDuration(duration(value))!; // duration has just checked it

/** Each part of a comma list, parsed by `one`. */
export const list =
  <T>(one: Parse<T>): Parse<T[]> =>
  (value) => {
    const parts = value.split(',').map((part) => part.trim());
    return parts.includes('') ? refuse('It is a comma list without empty places.') : parts.map(one);
  };

const TERM = /^(platform|region|os|app)(=|>=|<)(.+)$/;
const DOTTED = /^\d{1,9}(\.\d{1,9}){0,3}$/;

/** `platform=ios,android region=eu os>=14 os<15 app>=3.2`: terms are ANDed, values of one term ORed. The server checks what it means. */
export const filter: Parse<Filter> = (value) => {
  const found: { -readonly [K in keyof Filter]: Filter[K] } = {};
  for (const term of value.trim().split(/\s+/)) {
    const [, attribute, operator, given = ''] = TERM.exec(term) ?? [];
    if ((attribute === 'platform' || attribute === 'region') && operator === '=' && !found[attribute])
      found[attribute] = list(text)(given);
    else if ((attribute === 'os' || attribute === 'app') && operator !== '=' && DOTTED.test(given)) {
      const bound = operator === '<' ? 'lt' : 'gte';
      if (found[attribute]?.[bound] !== undefined) refuse(`It says ${attribute}${operator} twice.`);
      found[attribute] = { ...found[attribute], [bound]: given };
    } else
      refuse('It is made of platform=a,b, region=a,b, os>=14, os<15, app>=3.2 and app<4, with blanks between them.');
  }
  return found;
};

const NUMBER = /^\d{1,9}(\.\d{1,12})?$/;

/** Above 0, up to 100. */
export const percentFlag: Parse<number> = (value) => {
  const digits = value.replace(/\s?%$/, '');
  const number = NUMBER.test(digits) ? Number(digits) : Number.NaN;
  return number > 0 && number <= 100
    ? number
    : refuse('Each is a percentage above 0, up to 100, such as 10,25,50,75,100.');
};

/** One of the words. */
export const oneOf =
  <T extends string>(...words: readonly T[]): Parse<T> =>
  (value) =>
    words.find((word) => word === value) ?? refuse(`It is one of ${words.join(', ')}.`);

/** From 0 to 50. */
export const holdbackFlag: Parse<number> = (value) => {
  const digits = value.replace(/\s?%$/, '');
  const number = NUMBER.test(digits) ? Number(digits) : Number.NaN;
  return number >= 0 && number <= 50 ? number : refuse('It is a percentage from 0 to 50, such as 1 or 1%.');
};

/** A share that something else can be above, `5%` or `0.05`: from 0, below 1. */
export const limitShare: Parse<number> = (value) => {
  const digits = value.replace(/\s?%$/, '');
  const number = NUMBER.test(digits) ? Number(digits) / (digits === value ? 1 : 100) : Number.NaN;
  if (number === 1)
    return refuse(
      'It is 100 %, and no rate is ever above that, so the rule would never hold. One percent is 1% or 0.01.',
    );
  return number < 1 ? number : refuse('It is a share below 100 %, such as 5% or 0.05.');
};

/** A position, `event:<id>`, or an RFC 3339 time. */
export const momentInLog: Parse<string> = (value) =>
  /^(\d{1,15}|event:\S+|\d{4}-\d\d-\d\dT\S+)$/.test(value)
    ? value
    : refuse('It is a position, event:<id>, or a time such as 2026-03-04T10:12:07Z.');

/** An http(s) address without a key or a query in it. */
export const address: Parse<string> = (value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return refuse('It is an address, such as https://edgeml.example.com.');
  if (url.username || url.password || url.search || url.hash)
    return refuse('It is an address alone: no user, query or fragment.');
  return value;
};

/**
 * An option with a value: parsed by `parse`, and given once. `flags` as commander reads them.
 */
export function valued<T>(flags: string, description: string, parse: Parse<T>): Option {
  return new Option(flags, description).argParser((value: string, before: unknown) =>
    before === undefined ? parse(value) : refuse('It was given twice.'),
  );
}

/** An argument, parsed by `parse`. */
export const argument = <T>(word: string, description: string, parse: Parse<T>): Argument =>
  new Argument(`<${word}>`, description).argParser(parse);

/** What an option asks for together with others, said in one way. @throws CliError `usage` */
export function requires(command: Command, needed: string, ...flags: readonly string[]): void {
  const given = (flag: string) => command.getOptionValueSource(attribute(flag)) === 'cli';
  const lost = given(needed) ? undefined : flags.find(given);
  if (lost !== undefined) throw new CliError(`${lost} does nothing without ${needed}`, EXIT.usage);
}

/** Two that contradict each other. @throws CliError `usage` */
export function excludes(command: Command, one: string, other: string): void {
  const { [attribute(one)]: a, [attribute(other)]: b } = command.optsWithGlobals();
  if (a !== undefined && b !== undefined) throw new CliError(`${one} and ${other} contradict each other`, EXIT.usage);
}

const attribute = (flag: string) => new Option(flag).attributeName();

/** @throws CliError `usage` when the file cannot be read */
export function readInput(file: string, flag: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CliError(
      `${flag} ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      EXIT.usage,
    );
  }
}

/** @throws CliError `usage` when the file holds no JSON object */
export function readObject(file: string, flag: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readInput(file, flag).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>; // just checked
  } catch (error) {
    if (error instanceof CliError) throw error;
  }
  throw new CliError(`${flag} ${file} holds no JSON object`, EXIT.usage);
}
