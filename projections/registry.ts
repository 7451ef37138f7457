/** Every read model of this build. */
import { activity } from './activity/project.ts';
import { catalog } from './catalog/project.ts';
import { pointers } from './pointers/project.ts';
import { rollouts } from './rollouts/project.ts';
import type { Projection } from './table.ts';
import { training } from './training/project.ts';
import { versions } from './versions/project.ts';

export const projections: readonly Projection[] = [pointers, catalog, versions, rollouts, training, activity];
