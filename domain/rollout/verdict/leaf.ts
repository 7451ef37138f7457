/** Pure. The leaf of a device, by what it says of itself; free text must not make a leaf of each device. */
import { leafOsMajor, leafPlatform } from '../counters.ts';
import type { Leaf } from './segments.ts';

/** Absent: it does not say. */
export interface SayingDevice {
  readonly platform: string | null;
  readonly osVersion?: string | null;
  readonly appVersion?: string | null;
  readonly region?: string | null;
}

const MAJOR_MINOR = /^v?(\d{1,4})(?:\.(\d{1,4}))?(?:[.\s+-]|$)/;
const REGION = /^[a-z0-9][a-z0-9_-]{0,19}$/;

const known = (name: string): string | null => (name === 'unknown' || name === 'other' ? null : name);

/** Platform, OS major, `3.2` of app version 3.2.1, region; null for what is missing or cannot be read. */
export function deviceLeaf({ platform, osVersion, appVersion, region }: SayingDevice): Leaf {
  const app = MAJOR_MINOR.exec(appVersion ?? '');
  const where = region?.toLowerCase() ?? '';
  return {
    platform: known(leafPlatform(platform)),
    osMajor: known(leafOsMajor(osVersion ?? null)),
    app: app ? `${Number(app[1])}.${Number(app[2] ?? 0)}` : null,
    region: REGION.test(where) ? where : null,
  };
}
