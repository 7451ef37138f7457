/** Pure. What follows a rollback, by what was told already and how long ago it was: people, devices, post-mortem, reminders. */
import type { RollbackTrigger } from '../domain/events/rollout.ts';
import type { NoticeInput, RollbackStep } from './contract.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const FOLLOW_MS = 72 * HOUR;
const REMIND_AFTER_DAYS = [1, 3, 7];
export const FOLLOW_UP_DAYS = 30;

export interface RollbackStanding {
  readonly rolloutId: number;
  readonly version: string;
  readonly target: string | null;
  readonly reason: string;
  readonly trigger: RollbackTrigger;
  /** The fact RolloutRolledBack. */
  readonly eventId: string;
  /** Unix ms. */
  readonly at: number;
  readonly now: number;
  readonly hasRootCause: boolean;
  /** Ids of the notices of that fact. */
  readonly told: ReadonlySet<string>;
  /**
   * Devices that were told the version, and those that still report it. Undefined until a step asks for them: counting grows with
   * the fleet, and the first notice must not wait for it. Null where they could not be counted in time.
   */
  readonly devices?: DevicesOn | null;
}

export interface DevicesOn {
  readonly told: number;
  readonly outstanding: number;
}

export const noticeId = {
  rolledBack: (eventId: string) => eventId,
  returned: (eventId: string) => `${eventId}/returned`,
  postMortem: (eventId: string) => `${eventId}/post-mortem`,
  reminder: (eventId: string, days: number) => `${eventId}/reminder-${days}d`,
};

/** Enough of the devices are back: the rest may be switched off for weeks. */
export const areBack = ({ told, outstanding }: DevicesOn) => told - outstanding >= 0.995 * told;

const share = ({ told, outstanding }: DevicesOn) =>
  told === 0 ? '100' : ((100 * (told - outstanding)) / told).toFixed(1);

/** That the devices are back, or how many are not when nobody follows them any more. */
export function returnedNotice(
  { rolloutId, version, eventId }: Pick<RollbackStanding, 'rolloutId' | 'version' | 'eventId'>,
  devices: DevicesOn | null,
): NoticeInput {
  const text =
    devices === null
      ? `the devices that left ${version} could not be counted.`
      : `${share(devices)} % of devices left ${version}.${restOf(devices)}`;
  return { eventId: noticeId.returned(eventId), audience: 'owners', text: `Rollout ${rolloutId}: ${text}` };
}

const restOf = ({ told, outstanding }: DevicesOn) =>
  outstanding === 0 ? '' : ` ${outstanding} of ${told} still report it.`;

/**
 * The next step, or that the devices must be counted to know it. Never throws. Every notice has an id of its own, so a step done
 * twice tells nobody twice.
 */
export function planRollback(r: RollbackStanding): RollbackStep | 'count_devices' {
  const { eventId, told, devices } = r;
  const age = r.now - r.at;
  const tell = (id: string, text: string): RollbackStep => ({
    kind: 'tell',
    notice: { eventId: id, audience: 'owners', text },
  });
  if (age >= FOLLOW_UP_DAYS * DAY) return { kind: 'done' };
  if (!told.has(noticeId.rolledBack(eventId))) {
    const to = r.target === null ? 'no version: none is in force besides it' : r.target;
    const text = `Rollout ${r.rolloutId}: ${r.version} was rolled back (${r.trigger}: ${r.reason}). Devices return to ${to}.`;
    return tell(noticeId.rolledBack(eventId), text);
  }
  // Even a root cause that came first (after an outage of ours) does not replace the news itself.
  if (r.hasRootCause) return { kind: 'done' };
  if (!told.has(noticeId.returned(eventId))) {
    // Who follows has hours to count them, and tells by itself that they are back.
    if (age < FOLLOW_MS) return { kind: 'follow', leftMs: FOLLOW_MS - age };
    if (devices === undefined) return 'count_devices';
    return { kind: 'tell', notice: returnedNotice(r, devices) };
  }
  if (!told.has(noticeId.postMortem(eventId))) return { kind: 'draft' };
  for (const days of REMIND_AFTER_DAYS) {
    if (told.has(noticeId.reminder(eventId, days))) continue;
    if (age < days * DAY) return { kind: 'wait', leftMs: days * DAY - age };
    const text = `Rollout ${r.rolloutId}: the root cause of the rollback of ${r.version} is not recorded after ${days} days.`;
    return tell(noticeId.reminder(eventId, days), text);
  }
  return { kind: 'wait', leftMs: FOLLOW_UP_DAYS * DAY - age };
}
