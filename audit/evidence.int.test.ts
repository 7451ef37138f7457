/** Checkpoints that an auditor kept, and judgements that somebody forged with good hashes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HealthJudgement, Judgement } from '../domain/events/rollout.ts';
import type { AnyFact } from '../domain/events/streams.ts';
import { canonicalSha } from '../domain/hash/canonicalJson.ts';
import { evidenceOf, evidenceSpecOf, judgementOf } from '../domain/rollout/pointer.fixture.ts';
import { evidencePolicy } from '../domain/rollout/policies.ts';
import { judgeEvidence, type EvidenceLook } from '../domain/rollout/verdict/index.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import type { HistoryAppend } from '../test/properties/world.ts';
import { verify, type VerifyOptions } from './verify.ts';

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const check = (options: VerifyOptions = {}) =>
  verify({ connectionString: stage.log.appUrl, log: stage.log.store }, { fast: true, ...options });

async function tamper(sql: string): Promise<void> {
  for (const t of ['events', 'log']) await stage.log.admin.query(`ALTER TABLE store.${t} DISABLE TRIGGER append_only`);
  await stage.log.admin.query(sql);
}

describe('a checkpoint that was kept outside', () => {
  it('finds a fact that was changed with its leaf and every root of the database', async () => {
    const history = historyFrom(71, 250);
    const half = Math.floor(history.length / 2);
    await stage.tell(history.slice(0, half));
    const { size, root, origin } = await check();
    const kept = { origin, size, root, from: 'kept.txt' };
    await stage.tell(history.slice(half));
    expect((await check({ checkpoints: [kept] })).findings).toEqual([]);

    await tamper(
      `UPDATE store.events SET actor_id = 'mallory' WHERE position = (SELECT position FROM store.log WHERE log_index = 7)`,
    );
    // The root is made from the facts: the stored leaf, which still fits, does not hide the change.
    expect((await check({ checkpoints: [kept] })).findings.map((f) => f.step)).toEqual(['anchor', 'bytes']);
    const leaf = /gives leaf ([0-9a-f]{64})/.exec((await check()).findings[0]!.detail)![1]!;
    await tamper(`UPDATE store.log SET leaf_hash = decode('${leaf}', 'hex') WHERE log_index = 7`);
    expect((await check()).passed).toBe(true); // nothing in the database can tell
    const { findings, passed } = await check({ checkpoints: [kept] });
    expect(passed).toBe(false);
    expect(findings).toMatchObject([{ step: 'anchor', code: 'root_differs', index: size - 1 }]);
    expect(findings[0]!.detail).toContain(root);
  });

  it('finds that the log is shorter, and refuses to speak of another log', async () => {
    await stage.tell(historyFrom(73, 50));
    const { size, root, origin } = await check();
    const from = 'kept.txt';
    const { findings } = await check({
      checkpoints: [
        { origin, size: size + 3, root, from },
        { origin: 'elsewhere/log/1', size, root, from },
        { origin, size: 0, root: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', from },
      ],
    });
    expect(findings).toMatchObject([
      { step: 'anchor', code: 'log_shorter', index: size },
      { step: 'anchor', code: 'other_log' },
    ]);
  });
});

describe('verdict', () => {
  /** A history up to its first judgement, and that judgement. */
  function judged(): { before: readonly HistoryAppend[]; stream: string; judgement: Judgement } {
    const history = historyFrom(74, 1_500);
    const at = history.findIndex(({ facts }) => facts[0]?.fact.type === 'HealthJudged');
    const { stream, fact } = history[at]!.facts[0]!;
    if (fact.type !== 'HealthJudged' || fact.data.algorithm !== 'thresholds@1')
      throw new Error('the history has no judgement');
    return { before: history.slice(0, at), stream, judgement: fact.data };
  }

  it('recomputes every judgement: each forgery is found and named, though its hashes are good', async () => {
    const { before, stream, judgement } = judged();
    const head = await stage.tell(before);
    const { canary, control } = judgement.counters;
    const convicted = { index: 0, metric: 'error_rate', numerator: 3, denominator: 90, limit: 0.5, op: '>' };
    const forged: readonly [what: string, Judgement][] = [
      ['verdict is "REGRESSED"', { ...judgement, verdict: 'REGRESSED', rule: convicted, missing: [] }],
      [
        'verdict is "HEALTHY"',
        { ...judgement, verdict: 'HEALTHY', counters: { canary: { ...canary, devices: 1 }, control } },
      ],
      ['policy_sha is', { ...judgement, policy_sha: 'a'.repeat(64) }],
      ['rule is', { ...judgement, verdict: 'PENDING', rule: convicted }],
      ['verdict is', { ...judgement, verdict: 'PENDING', counters: { canary: { ...canary, errors: 88 }, control } }],
      ['nothing can be judged', { ...judgement, stage: 99 }],
      ['sets aside', { ...judgement, set_aside: { downloads: 1, download_failures: 1 } }],
    ];
    for (const [, data] of forged)
      await stage.tell([{ commandId: 'mallory', facts: [{ stream, fact: { type: 'HealthJudged', data } }] }]);
    const found = (await check()).findings.filter((f) => f.step === 'verdict');
    for (const [i, [what]] of forged.entries()) {
      const one = found.find((f) => f.index === head + 1 + i);
      expect([what, one?.detail]).toEqual([what, expect.stringContaining(what)]);
      expect(one?.stream).toContain(stream);
    }
  });

  it('finds a rollback by a verdict that nobody gave, and a stage that runs otherwise than its spec says', async () => {
    const { before, stream, judgement } = judged();
    const head = await stage.tell(before);
    const stageFact = {
      stage: 0,
      from: 0,
      to: 10_000,
      ramp_ms: 1,
      min_bake_ms: 0,
      max_bake_ms: 0,
      basis: 'auto' as const,
    };
    const rollback = { target: null, trigger: 'verdict' as const, reason: 'bad', evidence: judgement };
    await stage.tell([
      { commandId: 'm1', facts: [{ stream, fact: { type: 'StageEntered', data: stageFact } }] },
      { commandId: 'm2', facts: [{ stream, fact: { type: 'RolloutRolledBack', data: rollback } }] },
    ]);
    const found = (await check()).findings.filter((f) => f.step === 'verdict');
    expect(found.map((f) => [f.code, f.index])).toEqual([
      ['stage_forged', head + 1],
      ['evidence_forged', head + 2],
    ]);
  });
});

describe('verdict of the policy evidence', () => {
  const rolloutId = 901;
  const stream = `rollout-${rolloutId}`;
  const spec = evidenceSpecOf('1.1.0');
  const policy = evidencePolicy(spec)!;
  const frozen = { measured: ['errors', 'crash', 'silence', 'download', 'install'], frozen_q: {}, accuracy: null };
  const fixed = {
    has_control: true,
    segments: ['platform:ios', 'os:ios 14'],
    expected: [200, 1_800] as [number, number],
    can_prove: false,
    convicts: { crash: 5 },
  };
  const entered = { stage: 0, from: 0, to: 1_000, ramp_ms: 10_000, min_bake_ms: 10_000, max_bake_ms: 20_000 };
  const look = (bad: number, more: Partial<EvidenceLook['given']> = {}, n = 1) =>
    judgeEvidence({
      spec: { stages: spec.stages, evidence: policy },
      stage: 0,
      evidenceStage: 0,
      look: n,
      clockMs: 21_000,
      given: {
        ...evidenceOf('PENDING').given,
        ...{ measured: frozen.measured, can_prove: false, segments: 2, told: 100, active: 100, ...more },
      },
      evidence: frozen.measured.map((metric) => {
        const x = metric === 'crash' ? bad : 0;
        const whole = { x, y: 0, theta: x * 100_000 };
        return {
          metric,
          whole,
          opened: [100, 900],
          ended: [100, 900],
          segments: x > 0 ? [{ segment: 'os:ios 14', ...whole }] : [],
        };
      }),
      restOf: () => ({ x: 0, y: 0, theta: 0 }),
    });
  const began: readonly AnyFact[] = [
    {
      type: 'RolloutCreated',
      data: { model_id: 'm', version: '1.1.0', previous: '1.0.0', spec, spec_sha: canonicalSha(spec) },
    },
    { type: 'RolloutStarted', data: { seed: String(rolloutId), lo: 0, evidence: frozen } },
    { type: 'StageEntered', data: { ...entered, basis: 'auto', evidence: fixed } },
  ];
  const tell = (facts: readonly AnyFact[], commandId: string) =>
    stage.tell(facts.map((fact, i) => ({ commandId: `${commandId}-${i}`, facts: [{ stream, fact }] })));
  const verdicts = async () => (await check()).findings.filter((f) => f.step === 'verdict');

  it('recomputes what is honest: quiet, and convicted with the segment named', async () => {
    expect(look(0).verdict).toBe('QUIET');
    const convicted = look(40, {}, 2);
    expect(convicted).toMatchObject({ verdict: 'REGRESSED', guilt: { metric: 'crash', named: 'os:ios 14' } });
    const judged = [look(0), convicted].map((data): AnyFact => ({ type: 'HealthJudged', data }));
    await tell([...began, ...judged], 'honest');
    expect(await verdicts()).toEqual([]);
  });

  it('finds each forgery, though its hashes are good', async () => {
    const honest = look(0);
    const forged: readonly [what: string, HealthJudgement][] = [
      ['verdict is "HEALTHY"', { ...honest, verdict: 'HEALTHY' }],
      ['nothing can be judged', { ...look(40), verdict: 'QUIET', guilt: null }],
      ['proven is', { ...honest, proven: ['crash'] }],
      ['threshold is', { ...honest, threshold: honest.threshold + 1 }],
      ['ln_g', { ...honest, metrics: honest.metrics.map((m, i) => (i === 0 ? { ...m, ln_g: 1 } : m)) }],
      ['policy_sha is', { ...honest, policy_sha: 'a'.repeat(64) }],
      ['can_prove is true', look(0, { can_prove: true })],
      ['has_control is false', look(0, { has_control: false })],
      ['segments is 0', look(0, { segments: 0 })],
      ['measured is', look(0, { measured: ['download'] })],
      ['frozen_q is', look(0, { frozen_q: { ios: 1 } })],
      ['crash was not proven before', look(0, { proven_before: ['crash'] })],
      ['nothing can be judged', judgementOf('HEALTHY')],
    ];
    const head = await tell(began, 'began');
    await tell(
      forged.map(([, data]) => ({ type: 'HealthJudged', data })),
      'mallory',
    );
    const found = await verdicts();
    for (const [i, [what]] of forged.entries()) {
      const said = found.filter((f) => f.index === head + 1 + i).map((f) => f.detail);
      expect([what, said.join('; ')]).toEqual([what, expect.stringContaining(what)]);
    }
  });
});
