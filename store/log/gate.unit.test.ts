/** What the gate before every append lets through, and where it points when it refuses. */
import { describe, expect, it } from 'vitest';
import { LifecycleError } from '../../domain/errors.ts';
import type { AnyFact } from '../../domain/events/streams.ts';
import { judgement } from '../../machines/facts.fixture.ts';
import { request } from '../../test/support/log.ts';
import { MAX_DEPTH } from '../../domain/hash/soundJson.ts';
import { checkEnvelope, factText, MAX_DATA_OCTETS } from './gate.ts';

const held = (stream: string, fact: AnyFact) => factText({ id: '', stream, machine: 'm@1', schemaVersion: 1, fact });
const contractOf = (contract: Record<string, unknown>) =>
  held('model-m', { type: 'ModelContractDeclared', data: { contract, digest: 'a'.repeat(64) } });

function pointersOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (!(error instanceof LifecycleError) || error.code !== 'invalid_input') throw error;
    return error.evidence.errors?.map((e) => e.pointer) ?? [];
  }
  throw new Error('it was let through');
}
const nested = (levels: number): unknown => (levels === 0 ? 1 : { in: nested(levels - 1) });

describe('the gate of a fact', () => {
  it.each([
    ['NUL in a key', { 'a\0b': 1 }, '/contract/a\ufffdb'],
    ['NUL in a value', { a: ['x', 'y\0'] }, '/contract/a/1'],
    ['half a surrogate pair in a key', { 'a\ud83d': 1 }, '/contract/a\ufffd'],
    ['half a surrogate pair in a value', { a: { 'b/c~d': '\udc00x' } }, '/contract/a/b~1c~0d'],
    ['a number that is none', { a: Number.NaN }, '/contract/a'],
    ['what 1e400 becomes', { a: [1e308 * 10] }, '/contract/a/0'],
    ['an integer that lost digits', { a: JSON.parse('9007199254740993') as unknown }, '/contract/a'],
    [
      'a member that means a prototype',
      JSON.parse('{"a":{"__proto__":1}}') as Record<string, unknown>,
      '/contract/a/__proto__',
    ],
    [
      'what is nested without end',
      nested(MAX_DEPTH + 1) as Record<string, unknown>,
      `/contract${'/in'.repeat(MAX_DEPTH - 1)}`,
    ],
    ['more octets than a row takes', { a: 'é'.repeat(MAX_DATA_OCTETS / 2) }, '/contract'],
  ])('refuses %s', (_what, contract, pointer) => {
    expect(pointersOf(() => contractOf(contract))).toEqual([pointer]);
  });

  it('lets through what every reader holds, as it is', () => {
    const contract = { 'naïve 🦊': ['\u0001', 1e-300, -1.5, 2 ** 53 - 1, null, true, nested(20)], '': '' };
    expect(JSON.parse(contractOf(contract))).toMatchObject({ contract });
    expect(contractOf({ zero: -0 })).toContain('{"zero":0}');
    expect(contractOf({ tiny: 5e-324 })).toContain('5e-324');
  });

  it('takes a fraction of any size where the fact declares a number, and no integer that is not exact', () => {
    const ofSize = (value: number, limit: number): AnyFact => ({
      type: 'HealthJudged',
      data: {
        ...judgement('REGRESSED'),
        rule: { index: 0, metric: 'm', numerator: value, denominator: 1, limit, op: '>' },
      },
    });
    expect(held('rollout-1', ofSize(1, 1e300))).toContain('1e+300');
    expect(pointersOf(() => held('rollout-1', ofSize(2 ** 53, 1)))).toEqual(['/rule/numerator']);
  });

  it('counts octets, so a text of just the size passes and one more does not', () => {
    const room = MAX_DATA_OCTETS - contractOf({ a: '' }).length;
    expect(Buffer.byteLength(contractOf({ a: 'x'.repeat(room) }))).toBe(MAX_DATA_OCTETS);
    expect(pointersOf(() => contractOf({ a: 'x'.repeat(room + 1) }))).toEqual(['/contract']);
  });
});

describe('the gate of the envelope', () => {
  const wanted = request({ 'rollout-1': 'any' });
  it.each([
    ['/actor/id', { actor: { kind: 'key' as const, id: 'k\0' } }],
    ['/command_id', { commandId: 'http:k:\ud800' }],
    ['/correlation_id', { correlationId: '\0' }],
    ['/command_id', { commandId: 'x'.repeat(2_048) }],
    ['/command_id', { correlationId: 'é'.repeat(1_024) }],
    ['/stream', { expected: new Map([['model-a b', 'any' as const]]) }],
    ['/stream', { expected: new Map([[`model-${'m'.repeat(216)}`, 'any' as const]]) }],
  ])('refuses a bad %s', (pointer, change) => {
    expect(pointersOf(() => checkEnvelope({ ...wanted, ...change }))).toEqual([pointer]);
  });
  it('lets a sound one through', () => {
    expect(() => checkEnvelope({ ...wanted, correlationId: 'é🦊', causationId: 'x' })).not.toThrow();
  });
});
