/** A forged way back is found, whichever rule of it was broken; legal histories have none. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnyFact } from '../../domain/events/streams.ts';
import { rollout as f } from '../../machines/facts.fixture.ts';
import { historyOf, sequence } from '../../test/properties/history.ts';
import type { PresentRow } from '../finding.ts';
import { checkAcross } from './across.ts';

type Fact = readonly [stream: string, type: AnyFact['type'], data?: unknown];

/** Codes and details of what `across` finds in these appends. */
function found(...appends: readonly (readonly Fact[])[]): string[] {
  const across = checkAcross();
  let index = 0;
  appends.forEach((facts, i) => {
    for (const [stream_id, type, data = {}] of facts) {
      const event = { stream_id, stream_version: 1, event_id: `e${index}`, command_id: `c${i}` };
      // The members that the check reads; a fact of a forger need not fit its schema.
      const row = { log_index: index, event } as unknown as PresentRow;
      across.see(row, { row, fact: { type, data } as AnyFact });
      index += 1;
    }
  });
  across.end(true);
  return across.list.map(({ code, detail }) => `${code}: ${detail}`);
}

const spec = (version: string) => ({ ...f.created().data, model_id: 'm', version });
const started = (id: number, version: string): Fact[] => [
  [`rollout-${id}`, 'RolloutCreated', spec(version)],
  [`rollout-${id}`, 'RolloutStarted'],
  [`rollout-${id}`, 'StageEntered', { stage: 0 }],
  [`version-m@${version}`, 'DeploymentStarted', { rollout_id: id }],
];
const released = (id: number, version: string, before?: string): Fact[] => [
  ...started(id, version),
  [`rollout-${id}`, 'RolloutCompleted'],
  [`version-m@${version}`, 'DeploymentCompleted', { rollout_id: id }],
  ['model-m', 'StableVersionChanged', { version, rollout_id: id }],
  ...(before === undefined
    ? []
    : [[`version-m@${before}`, 'VersionSuperseded', { by: version, rollout_id: id }] satisfies Fact]),
];
const restored = (id: number, version: string | null): Fact[] => [
  ['model-m', 'StableVersionRestored', { version, rollout_id: id }],
  ...(version === null ? [] : [[`version-m@${version}`, 'VersionRestored', { rollout_id: id }] satisfies Fact]),
];
const aborted = (id: number, version: string): Fact[] => [
  [`rollout-${id}`, 'RolloutAborted'],
  [`version-m@${version}`, 'VersionSuperseded', { by: null, rollout_id: id }],
];
const rolledBack = (id: number, version: string, target: string | null, more = {}): Fact[] => [
  [`rollout-${id}`, 'RolloutRolledBack', { target, trigger: 'manual', ...more }],
  [`version-m@${version}`, 'VersionRolledBack', { rollout_id: id }],
];
const first = released(1, '1.0.0');
/** 1.0.0 was stable, and a person aborted it; then a canary of 1.1.0. */
const abortedFirst = [first, [...aborted(1, '1.0.0'), ...restored(1, null)], started(2, '1.1.0')];
const named = { named: true };

describe('the end of a live rollout', () => {
  it('that brings back what a person had aborted is found: it should be nothing', () => {
    const forged = [...rolledBack(2, '1.1.0', '1.0.0'), ...restored(2, '1.0.0')];
    expect(found(...abortedFirst, forged)).toEqual([
      'wrong_way_back: the end of rollout 2 of 1.1.0 puts 1.0.0 in force: it should be no version',
    ]);
    expect(found(...abortedFirst, rolledBack(2, '1.1.0', null))).toEqual([]);
    expect(found(...abortedFirst, [...rolledBack(2, '1.1.0', '1.0.0', named), ...restored(2, '1.0.0')])).toEqual([]);
  });

  it('that leaves nothing, or an older version, where one is stable is found too, by abort as well', () => {
    const both = [first, released(2, '1.1.0', '1.0.0'), started(3, '1.2.0')];
    const stays = 'in force: it should be 1.1.0';
    const older = [['version-m@1.1.0', 'VersionSuperseded', { by: '1.0.0', rollout_id: 3 }]] satisfies Fact[];
    expect(found(...both, rolledBack(3, '1.2.0', null))[0]).toContain(`puts no version ${stays}`);
    expect(found(...both, [...rolledBack(3, '1.2.0', '1.0.0'), ...restored(3, '1.0.0'), ...older])[0]).toContain(
      `puts 1.0.0 ${stays}`,
    );
    expect(found(...both, [...aborted(3, '1.2.0'), ...restored(3, '1.0.0'), ...older])[0]).toContain(
      `puts 1.0.0 ${stays}`,
    );
    expect(found(...both, aborted(3, '1.2.0'))).toEqual([]);
    expect(found(...both, [...rolledBack(3, '1.2.0', '1.1.0'), ...restored(3, '1.1.0')])).toEqual([]);
  });
});

describe('the withdrawal of a completed version', () => {
  const last = [...abortedFirst.slice(0, 2), released(2, '1.1.0'), released(3, '1.2.0', '1.1.0')];
  const bad = [...rolledBack(3, '1.2.0', '1.1.0'), ...restored(3, '1.1.0')];

  it('goes to the newest that nobody took away, and to nothing where all were', () => {
    expect(found(...last, bad)).toEqual([]);
    const skipped = [...rolledBack(3, '1.2.0', null), ...restored(3, null)];
    expect(found(...last, skipped)[0]).toContain('puts no version in force: it should be 1.1.0');
    const next = [...rolledBack(2, '1.1.0', '1.0.0'), ...restored(2, '1.0.0')];
    expect(found(...last, bad, next)[0]).toContain('puts 1.0.0 in force: it should be no version');
  });

  it('goes to one that a person named, unless that was rolled back or never stable', () => {
    const to = (version: string) => [...rolledBack(2, '1.1.0', version, named), ...restored(2, version)];
    expect(found(...last, bad, to('1.0.0'))).toEqual([]);
    expect(found(...last, bad, to('1.2.0'))[0]).toContain('it was rolled back before');
    expect(found(...last, bad, to('3.0.0'))[0]).toContain('it never was stable');
  });

  it('never happens by itself: a version that comes back without an end of a rollout is found', () => {
    expect(found(...last, restored(3, '1.1.0'))[0]).toContain('rollback_split');
  });
});

it('a second rollout of a version that is marked already marks nothing', () => {
  const stable = released(1, '1.0.0');
  const again = started(2, '1.0.0');
  const withdrawn = [...rolledBack(1, '1.0.0', null), ...restored(1, null)];
  const second: Fact[] = [['rollout-2', 'RolloutRolledBack', { target: null, trigger: 'manual' }]];
  expect(found(stable, again, withdrawn, second)).toEqual([]);
  expect(found(stable, again, second)[0]).toContain('rollback_split');
});

it('legal histories have no wrong way back', () => {
  let ends = 0;
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { minLength: 300, maxLength: 600 }), (drawn) => {
      const across = checkAcross();
      for (const event of sequence(historyOf(drawn))) {
        if (event.fact.type === 'RolloutRolledBack' || event.fact.type === 'RolloutAborted') ends += 1;
        const { stream, version, id, commandId, fact, logIndex } = event;
        const raw = { stream_id: stream, stream_version: version, event_id: id, command_id: commandId };
        const row = { log_index: logIndex, event: raw } as unknown as PresentRow; // the members that the check reads
        across.see(row, { row, fact });
      }
      across.end(true);
      expect(across.list.filter((l) => l.code === 'wrong_way_back' || l.code === 'rollback_split')).toEqual([]);
    }),
    // A long history shrinks for minutes; its seed is enough to look into it.
    { numRuns: 60, endOnFailure: true },
  );
  expect(ends).toBeGreaterThan(50);
});
