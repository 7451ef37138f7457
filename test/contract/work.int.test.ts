/** No work per request that grows with the models there are, or with the versions and rollouts of one. */
import { describeWork } from './work/compare.ts';

describeWork({ models: 600, versions: 120, rollouts: 120 }, { models: 4_000, versions: 600, rollouts: 400 });
