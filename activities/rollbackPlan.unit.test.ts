/** Who is told of a rollback, how long devices are followed, and when it ends. */
import { describe, expect, it } from 'vitest';
import { areBack, noticeId, planRollback, type RollbackStanding } from './rollbackPlan.ts';

const DAY = 86_400_000;
const base: RollbackStanding = {
  rolloutId: 42,
  version: '1.1.0',
  target: '1.0.0',
  reason: 'error_rate 0.3 > 0.05',
  trigger: 'verdict',
  eventId: 'e1',
  at: 0,
  now: 1_000,
  hasRootCause: false,
  told: new Set(),
  devices: { told: 1000, outstanding: 6 },
};
const told = (...ids: string[]) => new Set(ids);

describe('what follows a rollback', () => {
  it('tells people first, once per fact, then follows the devices', () => {
    const { devices: _notYet, ...uncounted } = base;
    const first = planRollback(uncounted);
    expect(first).toMatchObject({ kind: 'tell', notice: { eventId: 'e1' } });
    expect(planRollback({ ...uncounted, told: told('e1') })).toEqual({
      kind: 'follow',
      leftMs: 72 * 3_600_000 - 1_000,
    });
  });

  it('stops following at 99.5 % or after 72 hours, and says how many are missing', () => {
    expect(areBack({ told: 1000, outstanding: 5 })).toBe(true);
    expect(areBack({ told: 1000, outstanding: 6 })).toBe(false);
    const { devices: _notYet, ...uncounted } = base;
    expect(planRollback({ ...uncounted, told: told('e1'), now: 3 * DAY })).toBe('count_devices');
    const never = planRollback({ ...base, told: told('e1'), now: 3 * DAY, devices: null });
    expect(never).toMatchObject({
      kind: 'tell',
      notice: { eventId: noticeId.returned('e1'), text: expect.stringContaining('could not be counted') },
    });
    const late = planRollback({ ...base, told: told('e1'), now: 3 * DAY });
    expect(late).toMatchObject({ kind: 'tell', notice: { text: expect.stringContaining('6 of 1000') } });
  });

  it('drafts, reminds after 1, 3 and 7 days, and ends with the root cause or after 30 days', () => {
    const ids = ['e1', noticeId.returned('e1')];
    expect(planRollback({ ...base, told: told(...ids) })).toEqual({ kind: 'draft' });
    ids.push(noticeId.postMortem('e1'));
    expect(planRollback({ ...base, told: told(...ids) })).toEqual({ kind: 'wait', leftMs: DAY - 1_000 });
    expect(planRollback({ ...base, told: told(...ids), now: DAY })).toMatchObject({
      kind: 'tell',
      notice: { eventId: noticeId.reminder('e1', 1) },
    });
    ids.push(...[1, 3, 7].map((d) => noticeId.reminder('e1', d)));
    expect(planRollback({ ...base, told: told(...ids), now: 10 * DAY })).toEqual({ kind: 'wait', leftMs: 20 * DAY });
    expect(planRollback({ ...base, now: 30 * DAY })).toEqual({ kind: 'done' });
    expect(planRollback({ ...base, hasRootCause: true })).toMatchObject({ kind: 'tell', notice: { eventId: 'e1' } });
    expect(planRollback({ ...base, hasRootCause: true, told: told('e1') })).toEqual({ kind: 'done' });
  });
});
