/** Why a device is told its version: the rules of assignment in their order, each with whether it applied. */
import type { Filter } from '../../../domain/events/rollout.ts';
import { bucketOf, isInside } from '../../../domain/rollout/assignment.ts';
import { isInCohort } from '../../../domain/rollout/cohort.ts';
import {
  assign,
  isLiveRollout,
  thresholdWidth,
  type AssignedDevice,
  type LiveRollout,
  type Pointer,
} from '../../../domain/rollout/pointer.ts';
import { whyNoLatest } from '../../../domain/semver.ts';
import type { Why } from '../../../wire/device.ts';

type Rule = Why['rules'][number];

export function whyView(pointer: Pointer, device: AssignedDevice, now: Date): Why {
  const assigned = assign(pointer, device, now);
  const live = pointer.rollouts.filter(isLiveRollout);
  // Of the rollout's own hash, whether or not the device is told anything by it.
  const bucketIn = ({ seed }: LiveRollout) => bucketOf(pointer.model_id, seed, device.id);
  const shown = live.find((r) => r.id === assigned?.rolloutId) ?? live.at(-1);
  return {
    version: assigned?.version ?? null,
    source: assigned?.source ?? 'none',
    rollout_id: assigned?.rolloutId ?? null,
    bucket: shown === undefined ? null : bucketIn(shown),
    rules: [...rolloutRules(live, device, bucketIn, now), ...fallbackRules(pointer)],
  };
}

function rolloutRules(
  live: readonly LiveRollout[],
  device: AssignedDevice,
  bucketIn: (rollout: LiveRollout) => number,
  now: Date,
): Rule[] {
  if (live.length === 0) return [{ rule: 'rollout', met: false, detail: 'no rollout of the model is live' }];
  return live.flatMap((rollout) => {
    const width = thresholdWidth(rollout.threshold, now);
    const isIn = isInCohort(rollout, device);
    const bucket = bucketIn(rollout);
    const isReached = isInside(bucket, rollout.lo, width);
    const about = `rollout ${rollout.id} of ${rollout.version}`;
    return [
      {
        rule: 'cohort',
        met: isIn,
        detail: `${about}: ${saidBy(rollout, device)} is ${isIn ? '' : 'not '}in its cohort`,
      },
      {
        rule: 'bucket',
        met: isReached,
        detail: `${about}: bucket ${bucket} is ${isReached ? '' : 'not '}among the ${width} of 10000 that are in, from ${rollout.lo}`,
      },
    ];
  });
}

/** What the filters of the rollout read of the device; the platform always. */
function saidBy({ cohort, exclude }: LiveRollout, device: AssignedDevice): string {
  const reads = (member: keyof Filter) => cohort?.[member] !== undefined || exclude?.[member] !== undefined;
  return [
    `platform ${device.platform ?? 'unknown'}`,
    ...(reads('region') ? [`region ${device.region ?? 'unknown'}`] : []),
    ...(reads('os') ? [`system ${device.osVersion ?? 'unknown'}`] : []),
    ...(reads('app') ? [`app ${device.appVersion ?? 'unknown'}`] : []),
  ].join(', ');
}

function fallbackRules(pointer: Pointer): Rule[] {
  const { stable, latest, ever_rolled_out: hasRolledOut, rolled_back: rolledBack, previews } = pointer;
  const isGood = (version: string | null) => version !== null && !rolledBack.includes(version);
  return [
    { rule: 'stable', met: isGood(stable), detail: stable === null ? 'no version is stable' : `${stable} is stable` },
    {
      rule: 'latest',
      met: stable === null && !hasRolledOut && isGood(latest),
      detail: hasRolledOut
        ? 'the model has had a rollout, so latest is not told'
        : latest === null
          ? whyNoLatest(previews, () => true)
          : `the latest release is ${latest}`,
    },
  ];
}
