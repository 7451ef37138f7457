/** A request becomes a whole spec, or is refused by JSON pointer. */
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { TrainingSpec } from '../events/training.ts';
import { isRefusal } from '../refusal.ts';
import { FIELDS, isGroup, trainRequestSchema } from './requestFields.ts';
import { parseTrainingRequest, requestSha, specOf, type TrainingRequest } from './trainingRequest.ts';
import { trainingSpec } from './trainingSpec.fixture.ts';

const accepted = (body: unknown): TrainingRequest => {
  const request = parseTrainingRequest(body);
  if (isRefusal(request)) throw new Error(JSON.stringify(request));
  return request;
};
const refused = (body: unknown) => {
  const request = parseTrainingRequest(body);
  if (!isRefusal(request)) throw new Error('was accepted');
  return request;
};
const resolved = { modelId: 'm', baseVersion: '1.0.0', seed: 'f'.repeat(64) };

describe('parseTrainingRequest', () => {
  it('fills in the defaults of docs/design/learning.md "The spec of a run", and keeps every update', () => {
    expect(specOf(accepted({ new_version: '1.1.0' }), resolved)).toEqual(trainingSpec);
  });

  it('makes specs that the fact’s schema accepts, and knows every member of it', () => {
    const full = accepted({
      new_version: '1.1.0',
      min_updates: 3,
      goal: null,
      seed: '1'.repeat(64),
      windows: { report: '500ms' },
      on_quorum_miss: { retry: 0, backoff: ['200ms', '1s'] },
      client: { lr: 2, epochs: 5 },
      aggregation: { weight: 'uniform' },
      admission: { max_norm: 3.5 },
      retention: { updates: 'keep' },
      publish: true,
      evaluation: { set: '2'.repeat(64) },
      allow_rolled_back_base: { reason: 'only one we have' },
    });
    const spec = specOf(full, resolved);
    expect(Value.Errors(TrainingSpec, spec)).toEqual([]);
    expect(spec).toMatchObject({ goal: null, seed: '1'.repeat(64), windows: { report: '500ms', extend: '10m' } });
    expect(new Set([...Object.keys(FIELDS), 'model_id'])).toEqual(new Set(Object.keys(TrainingSpec.properties)));
  });

  it('accepts no member that the schema of the HTTP interface refuses', () => {
    const values = [
      null,
      true,
      0,
      1,
      0.5,
      1e15,
      'keep',
      'open',
      'samples',
      '1.1.0',
      '2m',
      '9'.repeat(30),
      'a\nb',
      'ü',
      [],
      ['a'],
      ['a\0'],
    ];
    const more = [
      ['1m', '2h'],
      { set: '0'.repeat(64) },
      { reason: 'x' },
      { reason: '\0' },
      { reason: 'x'.repeat(2_001) },
      {},
    ];
    const members = Object.values(FIELDS).flatMap((rule) => (isGroup(rule) ? Object.values(rule.members) : [rule]));
    let accepted = 0;
    for (const { schema, check } of members)
      for (const value of [...values, ...more, '0'.repeat(64)]) {
        if (check(value) !== undefined) continue;
        expect(Value.Check(schema, value), JSON.stringify(value)).toBe(true);
        accepted += 1;
      }
    expect(accepted).toBeGreaterThan(members.length);
    for (const rule of members) if (rule.fallback !== undefined) expect(rule.check(rule.fallback)).toBeUndefined();
    expect(trainRequestSchema.required).toEqual(['new_version']);
  });

  const faults: [string, Record<string, unknown>, string, string, RegExp][] = [
    ['a typo', { min_update: 3 }, 'unknown_field', '/min_update', /known are/],
    ['a typo inside', { client: { learning_rate: 3 } }, 'unknown_field', '/client/learning_rate', /epochs/],
    ['an object’s own names', { constructor: 1 }, 'unknown_field', '/constructor', /no member/],
    ['a version with a v', { new_version: 'v1.1.0' }, 'invalid_version', '/new_version', /without v/],
    ['a reserved version', { new_version: '1.1.0-round.3' }, 'invalid_version', '/new_version', /reserved/],
    ['no rounds', { rounds: 0 }, 'invalid_input', '/rounds', /from 1 to 10000/],
    ['half a round', { rounds: 1.5 }, 'invalid_input', '/rounds', /whole/],
    ['a goal below the quorum', { min_updates: 10, goal: 5 }, 'invalid_input', '/goal', /at least min_updates/],
    [
      'draw',
      { selection: { strategy: 'draw' } },
      'invalid_input',
      '/selection/strategy',
      /this release offers no draw/,
    ],
    ['FedProx', { client: { proximal_mu: 0.1 } }, 'invalid_input', '/client/proximal_mu', /FedProx/],
    ['a robust rule', { aggregation: { rule: 'median' } }, 'invalid_input', '/aggregation/rule', /robust/],
    ['updates that go', { retention: { updates: '7d' } }, 'invalid_input', '/retention/updates', /"keep".*no deletion/],
    ['adam', { server_optimizer: { name: 'adam' } }, 'invalid_input', '/server_optimizer/name', /adaptive/],
    ['adaptive norm', { admission: { max_norm: 'adaptive' } }, 'invalid_input', '/admission/max_norm', /adaptive/],
    ['privacy', { privacy: { clip: 1 } }, 'invalid_input', '/privacy', /not in this release/],
    ['early stopping', { stop: null }, 'invalid_input', '/stop', /by hand/],
    ['a duration without unit', { windows: { report: '10' } }, 'invalid_input', '/windows/report', /duration/],
    ['a group that is none', { windows: 3 }, 'invalid_input', '/windows', /object/],
    ['an evaluation set without a hash', { evaluation: { set: 'mails' } }, 'invalid_input', '/evaluation', /SHA-256/],
    [
      'two bases',
      { base_version: '1.0.0', init_artifact: '0'.repeat(64) },
      'invalid_input',
      '/init_artifact',
      /one of them/,
    ],
    ['a negative rate', { client: { lr: -1 } }, 'invalid_input', '/client/lr', /above 0/],
    ['a rate that no float32 survives', { client: { lr: 1e300 } }, 'invalid_input', '/client/lr', /at most 1000/],
    ['a window of ages', { windows: { report: '999999999999d' } }, 'invalid_input', '/windows/report', /at most 365d/],
    [
      'a window of many digits',
      { windows: { extend: `${'9'.repeat(400)}s` } },
      'invalid_input',
      '/windows/extend',
      /365d/,
    ],
    [
      'a pause of ages',
      { on_quorum_miss: { backoff: ['1m', '366d'] } },
      'invalid_input',
      '/on_quorum_miss/backoff',
      /two/,
    ],
    ['a quorum without end', { min_updates: 1e15, goal: null }, 'invalid_input', '/min_updates', /to 1000000/],
    [
      'rounds that together last for centuries',
      { rounds: 10_000, windows: { report: '30d' } },
      'invalid_input',
      '/rounds',
      /at most 3650 are planned/,
    ],
    [
      'pauses that together last for centuries',
      { on_quorum_miss: { retry: 1_000, backoff: ['1m', '365d'] } },
      'invalid_input',
      '/on_quorum_miss/retry',
      /at most 3650/,
    ],
    [
      'a weight that no sum holds',
      { min_updates: 1_000_000, aggregation: { weight_cap: 2 ** 40 } },
      'invalid_input',
      '/aggregation/weight_cap',
      /2\^53/,
    ],
    [
      'samples that no count holds',
      { rounds: 10_000, admission: { max_samples: 2 ** 40 } },
      'invalid_input',
      '/admission/max_samples',
      /2\^53/,
    ],
  ];
  it.each(faults)('refuses %s', (_, members, code, pointer, detail) => {
    const { code: found, errors } = refused({ new_version: '1.1.0', ...members });
    expect(found).toBe(code);
    expect(errors).toHaveLength(1);
    expect(errors?.[0]).toMatchObject({ pointer, detail: expect.stringMatching(detail) as string });
  });

  it('names all faults at once, and wants an object with new_version', () => {
    expect(refused({ rounds: 0, goal: 'all' }).errors!.map((e) => e.pointer)).toEqual([
      '/new_version',
      '/rounds',
      '/goal',
    ]);
    for (const body of [undefined, null, 3, 'x', []]) expect(refused(body).code).toBe('invalid_input');
    expect(refused({}).code).toBe('invalid_input');
  });

  it('recognises the same request by content, before defaults', () => {
    const sha = requestSha('m', { new_version: '1.1.0', rounds: 20 });
    expect(requestSha('m', { rounds: 20, new_version: '1.1.0' })).toBe(sha);
    expect(requestSha('m', { new_version: '1.1.0' })).not.toBe(sha);
    expect(requestSha('n', { new_version: '1.1.0', rounds: 20 })).not.toBe(sha);
  });
});
