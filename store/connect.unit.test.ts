/** How types arrive from Postgres, and which errors mean a lost connection. */
import { describe, expect, it } from 'vitest';
import { connectionTypes, isConnectionLost } from './connect.ts';

const parse = (oid: number, text: string): unknown => connectionTypes.getTypeParser(oid)(text);

describe('types from Postgres', () => {
  it('gives bigint as a number, and refuses one that a number cannot hold', () => {
    expect(parse(20, '9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => parse(20, '9007199254740992')).toThrow(RangeError);
    expect(parse(1016, '{1,-2,3}')).toEqual([1, -2, 3]);
    expect(parse(1016, '{}')).toEqual([]);
    expect(() => parse(1016, '{1,NULL}')).toThrow(RangeError);
  });

  it('leaves the rest to pg: xid8 as text, json parsed, time as a Date', () => {
    expect(parse(5069, '18446744073709551615')).toBe('18446744073709551615');
    expect(parse(114, '{"a":1}')).toEqual({ a: 1 });
    expect(parse(1184, '2026-11-23 07:16:00.123+00')).toEqual(new Date('2026-11-23T07:16:00.123Z'));
  });
});

describe('a lost connection', () => {
  const fault = (code: string) => Object.assign(new Error(), { code });
  it.each(['08000', '08006', '57P01', '57P03', '25P03', 'ECONNRESET', 'ECONNREFUSED', 'EPIPE'])('is %s', (code) => {
    expect(isConnectionLost(fault(code))).toBe(true);
  });
  it.each(['40P01', '23505', '42501', '57014', 'ENOENT'])('is not %s', (code) => {
    expect(isConnectionLost(fault(code))).toBe(false);
  });
  it('is told by pg in words', () => {
    expect(isConnectionLost(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isConnectionLost(new Error('the machine refused'))).toBe(false);
    expect(isConnectionLost('a string')).toBe(false);
  });
});
