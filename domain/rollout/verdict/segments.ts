/** Pure. Groups of devices that are judged apart: each value of platform, OS major, app version and region that is large enough. */

/** In the order in which ties are broken. */
export const ATTRIBUTES = ['platform', 'os', 'app', 'region'] as const;
export type Attribute = (typeof ATTRIBUTES)[number];

/** Canary devices that a segment must expect. */
const LEAST_DEVICES = 20;
/** Values of one attribute. */
const MOST_VALUES = 50;

/** What is known of a group of devices; null: it does not say, and is in no segment of that attribute. */
export interface EvidenceCell {
  readonly platform: string | null;
  readonly osMajor: string | null;
  /** `3.2` of app version 3.2.1. */
  readonly app: string | null;
  readonly region: string | null;
}

/** `platform:ios`, `os:ios 14`, `app:3.2`, `region:eu`: the segments that a leaf is in. */
export function segmentsOf({ platform, osMajor, app, region }: EvidenceCell): string[] {
  const values: Record<Attribute, string | null> = {
    platform,
    os: platform === null || osMajor === null ? null : `${platform} ${osMajor}`,
    app,
    region,
  };
  return ATTRIBUTES.flatMap((attribute) => {
    const value = values[attribute];
    return value === null ? [] : [`${attribute}:${value}`];
  });
}

/** Its place among attributes; a name of none comes last. */
export function attributeRank(segment: string): number {
  const at = ATTRIBUTES.findIndex((attribute) => segment.startsWith(`${attribute}:`));
  return at < 0 ? ATTRIBUTES.length : at;
}

/**
 * The segments of a stage, fixed when it is entered: those that expect at least 20 canary devices, at most 50 values an attribute, the largest
 * first.
 *
 * @param leaves  devices of the cohort that were seen of late, by leaf
 * @param buckets of 10,000 that the stage will have told
 */
export function testedSegments(
  leaves: readonly (EvidenceCell & { readonly devices: number })[],
  buckets: number,
): string[] {
  const sizes = new Map<string, number>();
  for (const leaf of leaves) {
    for (const segment of segmentsOf(leaf)) sizes.set(segment, (sizes.get(segment) ?? 0) + leaf.devices);
  }
  const large = [...sizes].filter(([, devices]) => devices * buckets >= LEAST_DEVICES * 10_000);
  const bySize = large.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([segment]) => segment);
  return ATTRIBUTES.flatMap((attribute) =>
    bySize.filter((segment) => segment.startsWith(`${attribute}:`)).slice(0, MOST_VALUES),
  );
}
