/**
 * Three projects by suffix. Two integration files run at once, each on a Postgres of its worker, all on one Temporal; two end-to-end files, each with a
 * stack of its own. Files with `.slow.` before the suffix run with `--mode full` only, which also draws a new seed.
 */
import { randomInt } from 'node:crypto';
import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const exclude = (mode: string): string[] => [
  ...configDefaults.exclude,
  '.edgeml/**',
  'dist/**',
  ...(mode === 'full' ? [] : ['**/*.slow.*.test.ts']),
];
const shared = (mode: string): TestProjectInlineConfiguration['test'] => ({
  exclude: exclude(mode),
  setupFiles: ['./test/support/seed.ts'],
  // eslint-disable-next-line no-restricted-syntax -- a seed that a failure has printed
  provide: { seed: Number(process.env['EDGEML_TEST_SEED'] ?? (mode === 'full' ? randomInt(2 ** 31) : 1)) },
});
const withServices = (mode: string): TestProjectInlineConfiguration['test'] => ({
  ...shared(mode),
  pool: 'forks',
  testTimeout: 60_000,
  hookTimeout: 120_000,
  globalSetup: ['./test/support/globalSetup.ts'],
});

export default defineConfig(({ mode }) => ({
  test: {
    reporters: ['default', './test/support/closingLine.ts'],
    projects: [
      {
        test: {
          ...shared(mode),
          name: 'unit',
          pool: 'forks',
          include: ['**/*.unit.test.ts', '**/*.types.test.ts'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...withServices(mode),
          name: 'int',
          maxWorkers: 2,
          include: ['**/*.int.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...withServices(mode),
          name: 'e2e',
          maxWorkers: 2,
          include: ['**/*.e2e.test.ts'],
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
}));
