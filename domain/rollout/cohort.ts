/** Pure. Which devices a filter means, by what they say of themselves (docs/design/rollout.md "Cohorts"). */
import type { Filter } from '../events/rollout.ts';

/** What a device says of itself; null or absent: it does not say. */
export interface DeviceAttributes {
  readonly platform: string | null;
  readonly osVersion?: string | null;
  readonly appVersion?: string | null;
  readonly region?: string | null;
}

/** `python` names an SDK: what those devices say of themselves never defines a cohort. */
export const isPlatform = (platform: string): boolean => platform !== '' && platform.toLowerCase() !== 'python';

/** `17.4.1`, `Android 14`, `iOS 17.4 (21E219)`: the first four numbers at most. */
const NUMBERS = /^(?:[A-Za-z]+ )?(\d{1,9}(?:\.\d{1,9}){0,3})(?:[.\s+(-]|$)/;

/** The numbers of a version, as many as there are, up to four; undefined where it cannot be read. */
export const numbersOf = (text: string): readonly number[] | undefined =>
  NUMBERS.exec(text)?.[1]?.split('.').map(Number);

/** By number after number; one that is missing is 0. */
export function compareNumbers(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < 4; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

type Maybe = boolean | undefined;

function isOneOf(values: readonly string[] | undefined, said: string | null | undefined): Maybe {
  if (!values) return true;
  if (!said) return undefined;
  const wanted = said.toLowerCase();
  return values.some((value) => value.toLowerCase() === wanted);
}

function isWithin(range: Filter['os'], said: string | null | undefined): Maybe {
  if (!range) return true;
  const numbers = said ? numbersOf(said) : undefined;
  if (!numbers) return undefined;
  const bound = (text: string | undefined) => (text === undefined ? undefined : numbersOf(text));
  const [from, to] = [bound(range.gte), bound(range.lt)];
  return (!from || compareNumbers(numbers, from) >= 0) && (!to || compareNumbers(numbers, to) < 0);
}

/** Undefined where a member that it depends on is missing or cannot be read. */
export function matches(filter: Filter, device: DeviceAttributes): Maybe {
  const platform = device.platform !== null && isPlatform(device.platform) ? device.platform : null;
  const all: readonly Maybe[] = [
    isOneOf(filter.platform, platform),
    isOneOf(filter.region, device.region),
    isWithin(filter.os, device.osVersion),
    isWithin(filter.app, device.appVersion),
  ];
  if (all.includes(false)) return false;
  return all.includes(undefined) ? undefined : true;
}

export interface Reach {
  readonly cohort?: Filter | null;
  readonly exclude?: Filter | null;
}

/** What is missing or unreadable means out, in `cohort` and in `exclude` alike: out of the rollout. */
export const isInCohort = ({ cohort, exclude }: Reach, device: DeviceAttributes): boolean =>
  (!cohort || matches(cohort, device) === true) && (!exclude || matches(exclude, device) === false);
