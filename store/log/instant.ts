/** RFC 3339 times of requests, read without the mercy of `Date` and of Postgres. Pure. */

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;
const MINUTE_MS = 60_000;

/**
 * A time as Postgres reads it: UTC, at most microseconds (what is finer is cut off). Undefined for what is no time: a day that its
 * month does not have, hour 24, second 60, an offset of a day or more, and what lies outside the years 1 to 9999 in UTC.
 */
export function parseInstant(text: string): string | undefined {
  const found = TIME.exec(text);
  if (!found) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [fraction = '', sign = '+', hours = '0', minutes = '0'] = found.slice(7);
  if (hour > 23 || minute > 59 || second > 59 || Number(hours) > 23 || Number(minutes) > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // unlike Date.UTC, it takes the years 0 to 99 as they are
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute, second);
  const offset = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS;
  const utc = new Date(date.getTime() - (sign === '-' ? -offset : offset));
  if (utc.getUTCFullYear() < 1 || utc.getUTCFullYear() > 9_999) return undefined;
  return `${utc.toISOString().slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
}
