/** Which faults keep their retries, and when one has come again. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Fatal, LifecycleError } from '../domain/errors.ts';
import { createFaults, describeFault, isUndeclared } from './fault.ts';

const coded = (code: string, message = 'x') => Object.assign(new Error(message), { code });
/** Thrown at one place, as the tries of one activity are. */
const thrown = (message: string) => new RangeError(message);

describe('an exception that nobody declared', () => {
  it.each<[string, unknown]>([
    ['a RangeError of a call with too many arguments', new RangeError('Maximum call stack size exceeded')],
    ['a TypeError', new TypeError("Cannot read properties of undefined (reading 'x')")],
    ['an argument that Node refuses', coded('ERR_INVALID_ARG_TYPE')],
    ['a text', 'no'],
    ['nothing', undefined],
  ])('is %s', (_, error) => expect(isUndeclared(error)).toBe(true));

  it.each<[string, unknown]>([
    ['ours', new LifecycleError('conversion_unavailable', 'x')],
    ['one after which we do not know', new Fatal('x')],
    ['of Postgres', new pg.DatabaseError('deadlock', 1, 'error')],
    ['of the way to Postgres', new Error('Connection terminated unexpectedly')],
    ['of a connection', coded('ECONNREFUSED')],
    ['of a disk', coded('EIO')],
    ['of a full disk', coded('ENOSPC')],
    ['of a stream that broke off', coded('ERR_STREAM_PREMATURE_CLOSE')],
    ['a cancellation', new CancelledFailure('x')],
    ['of Temporal', ApplicationFailure.nonRetryable('x')],
    ['a time limit', AbortSignal.timeout(0).reason ?? new DOMException('x', 'TimeoutError')],
    ['an abort', new DOMException('x', 'AbortError')],
  ])('is none %s', (_, error) => expect(isUndeclared(error)).toBe(false));
});

describe('a fault', () => {
  it('is repeated with its third equal try in a row, whatever numbers its message has', () => {
    const faults = createFaults();
    const tries = ['row 1 of 0123456789ab', 'row 2 of ba9876543210', 'row 3 of 0123456789ab', 'row 4 of ffff0000aaaa'];
    expect(tries.map((message) => faults.isRepeated('a', thrown(message)))).toEqual([false, false, true, false]);
  });

  it('counts anew after another fault, after a try that went well, and for each activity', () => {
    const faults = createFaults();
    const twice = () => [1, 2].map(() => faults.isRepeated('a', thrown('x')));
    expect(twice()).toEqual([false, false]);
    expect(faults.isRepeated('a', new TypeError('x'))).toBe(false);
    expect(twice()).toEqual([false, false]);
    faults.forget('a');
    expect(twice()).toEqual([false, false]);
    expect(faults.isRepeated('b', thrown('x'))).toBe(false);
    expect(faults.isRepeated('a', thrown('x'))).toBe(true);
  });

  it('is told on one line that a fact can hold', () => {
    const text = describeFault('buildVersion', new Error(`a\nb\u0000c \ud800 ${'\u{1F600}'.repeat(600)}`));
    expect(text).toMatch(/^buildVersion failed 3 times with Error: a b c /);
    expect([...text]).toHaveLength(500);
    expect(text).not.toMatch(/\p{Surrogate}/u);
  });
});
