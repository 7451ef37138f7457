/** The same at the sizes that were promised. */
import { describeWork } from './work/compare.ts';

describeWork({ models: 1_000, versions: 120, rollouts: 120 }, { models: 20_000, versions: 2_000, rollouts: 1_000 });
