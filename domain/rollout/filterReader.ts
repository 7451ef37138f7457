/** Pure. `cohort` and `exclude` of a request: a filter over what devices say of themselves (docs/design/rollout.md "Cohorts"). */
import { Filter, FilterRange } from '../events/rollout.ts';
import { compareNumbers, isPlatform, numbersOf } from './cohort.ts';
import { membersOf } from './requestSchema.ts';
import type { Reader } from './specReader.ts';

const MOST_VALUES = 50;
const MOST_LETTERS = 40;
const MEMBERS = membersOf(Filter);
const DOTTED = /^\d{1,9}(\.\d{1,9}){0,3}$/;

type Range = NonNullable<Filter['os']>;
const isAbsent = (value: unknown): boolean => value === undefined || value === null;

/** Undefined where it is absent, which is everyone for `cohort` and nobody for `exclude`; a filter without a member is refused. */
export function readFilter(read: Reader, value: unknown, at: '/cohort' | '/exclude'): Filter | undefined {
  if (isAbsent(value)) return undefined;
  const given = read.object(value, at, MEMBERS);
  if (!given) return undefined;
  if (MEMBERS.every((member) => isAbsent(given[member]))) {
    read.problem(at, `names no attribute: leave it out, or give one of ${MEMBERS.join(', ')}`);
    return undefined;
  }
  const { platform, region, os, app } = given;
  const platforms = readNames(read, platform, `${at}/platform`, platformProblem);
  const filter: Filter = {
    ...member('platform', platforms),
    ...member('region', readNames(read, region, `${at}/region`, nameProblem)),
    ...member('os', readRange(read, os, `${at}/os`)),
    ...member('app', readRange(read, app, `${at}/app`)),
  };
  if (filter.os && new Set(platforms?.map((name) => name.toLowerCase())).size !== 1) {
    read.problem(`${at}/os`, 'needs exactly one platform beside it: numbers of two systems cannot be compared');
  }
  return filter;
}

const member = <K extends string, V>(name: K, value: V | undefined) =>
  value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: V }); // one member, of this name

const nameProblem = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' && value.length <= MOST_LETTERS
    ? undefined
    : `must be text of 1 to ${MOST_LETTERS} letters`;
const platformProblem = (value: unknown): string | undefined =>
  nameProblem(value) === undefined && isPlatform(String(value))
    ? undefined
    : 'must be a platform that devices register with, such as "ios"; "python" names an SDK';

function readNames(
  read: Reader,
  value: unknown,
  at: string,
  problemOf: (value: unknown) => string | undefined,
): string[] | undefined {
  if (isAbsent(value)) return undefined;
  const names = read.list(value, at, MOST_VALUES) ?? [];
  names.forEach((name, index) => {
    const problem = problemOf(name);
    if (problem !== undefined) read.problem(`${at}/${index}`, problem);
  });
  return names.map(String);
}

function readRange(read: Reader, value: unknown, at: string): Range | undefined {
  if (isAbsent(value)) return undefined;
  const given = read.object(value, at, membersOf(FilterRange));
  if (!given) return undefined;
  const bound = (name: 'gte' | 'lt'): string | undefined => {
    const text = given[name];
    if (isAbsent(text)) return undefined;
    if (typeof text === 'string' && DOTTED.test(text)) return text;
    read.problem(`${at}/${name}`, `must be up to four numbers, such as "14" or "3.2.1", not ${JSON.stringify(text)}`);
    return undefined;
  };
  const [gte, lt] = [bound('gte'), bound('lt')];
  if (isAbsent(given['gte']) && isAbsent(given['lt'])) read.problem(at, 'needs gte, lt, or both');
  if (gte !== undefined && lt !== undefined && compareNumbers(numbersOf(gte)!, numbersOf(lt)!) >= 0) {
    read.problem(`${at}/lt`, `must be above gte: no version is from ${gte} on and below ${lt}`);
  }
  return { ...member('gte', gte), ...member('lt', lt) };
}
