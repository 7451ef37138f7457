/** Writes `docs/statecharts.md`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './reach.ts';
import { statechartsPage } from './statecharts.ts';

writeFileSync(join(CHECKOUT, 'docs/statecharts.md'), statechartsPage());
