/** When a person is awake, and when a phone says something. Hours since the stage began, in the fleet's time. */
import type { Fleet } from './fleet.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

const MORNING = 7;
const NIGHT = 23;
const AWAKE = NIGHT - MORNING;
/** Far before anything, so that days are counted from a whole number. */
const EPOCH = 2400;

export interface Habits {
  /** Hours awake until `t`. */
  awake(device: number, t: number): number;
  /** The first moment at which so many hours were awake. */
  whenAwake(device: number, hours: number): number;
  /** `t`, or where phones are off at night the moment in the morning at which it is heard of. */
  heard(device: number, t: number, within: number): number;
  /** The first report after `t`, where the one before may have been at any time. */
  report(device: number, t: number): number;
  /** The first report at or after `target`, where the last was at `from`. */
  reportAfter(device: number, from: number, target: number): number;
  contact(device: number, t: number): number;
  /** When the night falls after `t` on which a phone is off long enough to be silent; Infinity where they stay on. */
  nightfall(device: number, t: number): number;
}

export function createHabits(random: Random, world: World, fleet: Fleet): Habits {
  const local = (i: number, t: number): number => t + world.startHour + fleet.zone[i]! + EPOCH;
  const heard = (i: number, t: number, within: number): number => {
    if (!world.asleep) return t;
    const hour = local(i, t) % 24;
    if (hour >= MORNING && hour < NIGHT) return t;
    return t + (hour < MORNING ? MORNING - hour : MORNING + 24 - hour) + random() * Math.min(within, 0.5);
  };
  return {
    awake(i, t) {
      const at = local(i, t);
      const day = Math.floor(at / 24);
      return day * AWAKE + Math.min(AWAKE, Math.max(0, at - 24 * day - MORNING));
    },
    whenAwake(i, hours) {
      const day = Math.floor(hours / AWAKE);
      return day * 24 + MORNING + (hours - day * AWAKE) - world.startHour - fleet.zone[i]! - EPOCH;
    },
    heard,
    report: (i, t) => heard(i, t + fleet.report[i]! * random(), fleet.report[i]!),
    reportAfter(i, from, target) {
      const every = fleet.report[i]!;
      let t = from + Math.max(0, Math.floor((target - from) / every) - 2) * every;
      do t += every * (0.7 + 0.6 * random());
      while (t < target);
      return heard(i, t, every);
    },
    contact: (i, t) => heard(i, t + world.contactHours * random(), world.contactHours),
    nightfall(i, t) {
      if (!world.asleep) return Infinity;
      const hour = local(i, t) % 24;
      return t + (hour < NIGHT ? NIGHT - hour : 24 + NIGHT - hour);
    },
  };
}
