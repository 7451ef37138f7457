/**
 * What the properties of a run draw from. The seed is fixed where a run decides about a change, so that a refusal is about the change and
 * comes again. `npm run test:full` draws a new one each time; `EDGEML_TEST_SEED` gives back the one that a failure printed.
 */
import fc from 'fast-check';
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    seed: number;
  }
}

fc.configureGlobal({ seed: inject('seed') });
