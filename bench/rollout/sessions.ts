/** What the server makes of a device's reports: numbers are cumulative within a session, and a session's growth is added to the totals. */

export interface Report {
  readonly session: number;
  readonly seq: number;
  readonly predictions: number;
  readonly failed: number;
  readonly crashes: number;
}

export interface Totals {
  readonly predictions: number;
  readonly failed: number;
  readonly crashes: number;
}

const NONE: Totals = { predictions: 0, failed: 0, crashes: 0 };

/**
 * Takes one report after the other, and answers the totals.
 *
 * @param readsFalls the fault `fallen-counter`: sessions are not looked at, and a number that fell refuses the report
 */
export function createCounter(readsFalls: boolean): (report: Report) => Totals {
  const sessions = new Map<number, Report>();
  let totals = NONE;
  return (report) => {
    const key = readsFalls ? 0 : report.session;
    const last = sessions.get(key);
    if (!readsFalls && last && report.seq <= last.seq) return totals;
    const base = last ?? NONE;
    if (report.predictions < base.predictions || report.failed < base.failed || report.crashes < base.crashes) {
      return totals;
    }
    sessions.set(key, report);
    totals = {
      predictions: totals.predictions + report.predictions - base.predictions,
      failed: totals.failed + report.failed - base.failed,
      crashes: totals.crashes + report.crashes - base.crashes,
    };
    return totals;
  };
}

/** Whether a crash after `predictions` of a session is counted, told as an SDK tells it: the last numbers of the dead session, then its own. */
export function isCrashTold(readsFalls: boolean, predictions: number): boolean {
  const take = createCounter(readsFalls);
  take({ session: 1, seq: 1, predictions, failed: 0, crashes: 0 });
  return take({ session: 2, seq: 1, predictions: 0, failed: 0, crashes: 1 }).crashes > 0;
}
