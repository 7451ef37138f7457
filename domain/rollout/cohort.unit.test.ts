/** Which devices a filter means: what is missing or cannot be read means out, on either side. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Filter } from '../events/rollout.ts';
import { compareNumbers, isInCohort, numbersOf, type DeviceAttributes } from './cohort.ts';

const phone: DeviceAttributes = { platform: 'iOS', osVersion: '14.5.1', appVersion: '3.2', region: 'EU' };
const inCohort = (cohort: Filter, device: Partial<DeviceAttributes> = {}) =>
  isInCohort({ cohort }, { ...phone, ...device });
const notExcluded = (exclude: Filter, device: Partial<DeviceAttributes> = {}) =>
  isInCohort({ exclude }, { ...phone, ...device });

describe('cohort', () => {
  it('takes everyone without a filter, and only the platforms named with one', () => {
    expect(isInCohort({}, { platform: null })).toBe(true);
    expect(isInCohort({ cohort: null, exclude: null }, { platform: null })).toBe(true);
    expect(inCohort({ platform: ['ios', 'android'] })).toBe(true);
    expect(inCohort({ platform: ['android'] })).toBe(false);
  });

  it('ANDs its members and ORs the values of a list', () => {
    expect(inCohort({ platform: ['ios'], region: ['us', 'eu'] })).toBe(true);
    expect(inCohort({ platform: ['ios'], region: ['us'] })).toBe(false);
    expect(inCohort({ platform: ['ios'], os: { gte: '14' }, app: { lt: '3.2' } })).toBe(false);
  });

  it.each([
    [{ gte: '14' }, '14', true],
    [{ gte: '14.0.0.0' }, '14', true],
    [{ gte: '14.5' }, '14.10', true],
    [{ gte: '14.5' }, '14.4.9', false],
    [{ lt: '15' }, '14.99.99', true],
    [{ lt: '15' }, '15.0', false],
    [{ gte: '14', lt: '15' }, 'Android 14', true],
    [{ gte: '14' }, 'iOS 14.2 (18B92)', true],
    [{ gte: '10' }, '9.9', false],
    [{ gte: '1.2.3.4' }, '1.2.3.4.5', true],
  ])('os %j takes %s: %s', (os, osVersion, is) => {
    expect(inCohort({ platform: ['ios'], os }, { osVersion })).toBe(is);
  });

  it.each([null, '', 'unknown', 'Mozilla/5.0 (X11)', 'v14', '14a'])(
    'cannot read %j: out, in and out alike',
    (osVersion) => {
      expect(inCohort({ os: { gte: '1' } }, { osVersion })).toBe(false);
      expect(notExcluded({ os: { gte: '99' } }, { osVersion })).toBe(false);
    },
  );

  it('leaves out devices that do not say, or whose word cannot be trusted', () => {
    for (const platform of [null, '', 'python', 'Python']) {
      expect(inCohort({ platform: ['ios', 'python'] }, { platform })).toBe(false);
      expect(notExcluded({ platform: ['android'] }, { platform })).toBe(false);
    }
    expect(inCohort({ region: ['eu'] }, { region: null })).toBe(false);
    expect(inCohort({ app: { gte: '1' } }, { appVersion: null })).toBe(false);
  });
});

describe('exclude', () => {
  it('takes out what it means, and keeps what one readable member says is another', () => {
    const old: Filter = { platform: ['ios'], os: { lt: '15' } };
    expect(notExcluded(old)).toBe(false);
    expect(notExcluded(old, { osVersion: '16' })).toBe(true);
    expect(notExcluded(old, { platform: 'android', osVersion: null })).toBe(true);
    expect(notExcluded(old, { osVersion: null })).toBe(false);
  });

  it('wins over the cohort', () => {
    expect(isInCohort({ cohort: { platform: ['ios'] }, exclude: { region: ['eu'] } }, phone)).toBe(false);
  });
});

it('compares numbers as a total order in which a missing number is 0', () => {
  const numbers = fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(numbers, numbers, (a, b) => {
      expect(Math.sign(compareNumbers(a, b))).toBe(-Math.sign(compareNumbers(b, a)) + 0);
      expect(numbersOf(a.join('.'))).toEqual(a);
      expect(compareNumbers(a, [...a, 0])).toBe(0);
    }),
  );
});
