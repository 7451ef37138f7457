/** No work per request that grows with the models there are, or with the versions and rollouts of one. */
import { describeWork } from './work/compare.ts';

describeWork({ models: 300, versions: 60, rollouts: 60 }, { models: 3_000, versions: 600, rollouts: 300 });
