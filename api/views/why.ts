/** Why a device is told its version: the rules of assignment in their order, each with whether it applied. */
import { isInCohort, isInside } from '../../domain/rollout/assignment.ts';
import {
  assign,
  isLiveRollout,
  thresholdWidth,
  type AssignedDevice,
  type Pointer,
} from '../../domain/rollout/pointer.ts';
import type { Why } from '../schemas/device.ts';

type Rule = Why['rules'][number];

export function whyView(pointer: Pointer, device: AssignedDevice, now: Date): Why {
  const assigned = assign(pointer, device, now);
  const bucket = assigned?.bucket ?? null;
  return {
    version: assigned?.version ?? null,
    source: assigned?.source ?? 'none',
    rollout_id: assigned?.rolloutId ?? null,
    bucket,
    rules: [...rolloutRules(pointer, device, bucket, now), ...fallbackRules(pointer)],
  };
}

function rolloutRules(pointer: Pointer, device: AssignedDevice, bucket: number | null, now: Date): Rule[] {
  const live = pointer.rollouts.filter(isLiveRollout);
  if (live.length === 0) return [{ rule: 'rollout', met: false, detail: 'no rollout of the model is live' }];
  return live.flatMap((rollout) => {
    const width = thresholdWidth(rollout.threshold, now);
    const isIn = isInCohort(rollout.cohort, device.platform);
    const isReached = bucket !== null && isInside(bucket, rollout.lo, width);
    const about = `rollout ${rollout.id} of ${rollout.version}`;
    return [
      {
        rule: 'cohort',
        met: isIn,
        detail: `${about}: platform ${device.platform ?? 'unknown'} is ${isIn ? '' : 'not '}in its cohort`,
      },
      {
        rule: 'bucket',
        met: isReached,
        detail: `${about}: bucket ${bucket ?? '-'} of ${width} that are in, from ${rollout.lo}`,
      },
    ];
  });
}

function fallbackRules({ stable, latest, ever_rolled_out: hasRolledOut, rolled_back: rolledBack }: Pointer): Rule[] {
  const isGood = (version: string | null) => version !== null && !rolledBack.includes(version);
  return [
    { rule: 'stable', met: isGood(stable), detail: stable === null ? 'no version is stable' : `${stable} is stable` },
    {
      rule: 'latest',
      met: stable === null && !hasRolledOut && isGood(latest),
      detail: hasRolledOut
        ? 'the model has had a rollout, so latest is not told'
        : `latest published is ${latest ?? 'none'}`,
    },
  ];
}
