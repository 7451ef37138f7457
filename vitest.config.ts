/**
 * Three projects by suffix. Integration and end-to-end files run one after the other, on one Postgres and one Temporal. Files with `.slow.`
 * before the suffix run with `--mode full` only.
 */
import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const exclude = (mode: string): string[] => [
  ...configDefaults.exclude,
  '.edgeml/**',
  'dist/**',
  ...(mode === 'full' ? [] : ['**/*.slow.*.test.ts']),
];
const withServices = (mode: string): TestProjectInlineConfiguration['test'] => ({
  pool: 'forks',
  exclude: exclude(mode),
  fileParallelism: false,
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
          name: 'unit',
          pool: 'forks',
          exclude: exclude(mode),
          include: ['**/*.unit.test.ts', '**/*.types.test.ts'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...withServices(mode), name: 'int', include: ['**/*.int.test.ts'], sequence: { groupOrder: 1 } } },
      { test: { ...withServices(mode), name: 'e2e', include: ['**/*.e2e.test.ts'], sequence: { groupOrder: 2 } } },
    ],
  },
}));
