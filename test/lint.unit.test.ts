/** Each ban of `eslint.config.js` bites, and what is allowed passes. */
import { join } from 'node:path';
import { ESLint } from 'eslint';
import ts from 'typescript';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';

const cwd = new URL('..', import.meta.url).pathname;
/** Without types: what most bans need, at once. */
const plain = new ESLint({ cwd, overrideConfig: [tseslint.configs.disableTypeChecked] });
/** With types, of one file in a program of its own: the compiler's library alone, not the whole house. */
function typedFor(file: string, code: string): ESLint {
  const options: ts.CompilerOptions = { strict: true, lib: ['lib.es2023.d.ts'], types: [] };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, target) =>
    name === file ? ts.createSourceFile(name, code, target, true) : getSourceFile.call(host, name, target);
  const programs = [ts.createProgram([file], options, host)];
  return new ESLint({
    cwd,
    overrideConfig: { languageOptions: { parserOptions: { projectService: false, programs } } },
  });
}

async function refusals(eslint: ESLint, filePath: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(code, { filePath });
  return (result?.messages ?? []).map(({ ruleId, message }) => `${ruleId}: ${message}`);
}

describe('lint refuses', () => {
  it.each<[what: string, file: string, code: string, rule: string]>([
    [
      'the environment outside environment.ts',
      'relay/x.ts',
      `export const x = process.env['X'];`,
      'no-restricted-syntax',
    ],
    [
      'the environment by import',
      'relay/x.ts',
      `import { env } from 'node:process'; export const x = env;`,
      'no-restricted-syntax',
    ],
    [
      'a logger that prints {} for an error',
      'worker.ts',
      `import pino from 'pino'; export const x = pino();`,
      'no-restricted-syntax',
    ],
    ['console in a room', 'store/x.ts', `console.log(1);`, 'no-console'],
    ['a default export', 'store/x.ts', `export default 1;`, 'no-restricted-syntax'],
    ['any', 'store/x.ts', `export const x: any = 1;`, '@typescript-eslint/no-explicit-any'],
    [
      'an import of types alone as if of values',
      'store/x.ts',
      `import { A } from './a.ts'; export type B = A;`,
      '@typescript-eslint/consistent-type-imports',
    ],
    ['a promise to do it later', 'store/x.ts', `export const x = 1; // TODO: later`, 'no-warning-comments'],
    ['an equality of two kinds', 'store/x.ts', `export const f = (a: unknown) => a == 1;`, 'eqeqeq'],
    ['a clock in domain', 'domain/x.ts', `/** Pure. */\nexport const f = () => Date.now();`, 'no-restricted-syntax'],
    [
      'a date of now in domain',
      'domain/x.ts',
      `/** Pure. */\nexport const f = () => new Date();`,
      'no-restricted-syntax',
    ],
    [
      'chance in machines',
      'machines/x.ts',
      `/** Pure. */\nexport const f = () => Math.random();`,
      'no-restricted-syntax',
    ],
    [
      'a timer in domain',
      'domain/x.ts',
      `/** Pure. */\nexport const f = () => setTimeout(f, 1);`,
      'no-restricted-globals',
    ],
    [
      'Node in domain',
      'domain/x.ts',
      `/** Pure. */\nimport { readFileSync } from 'node:fs';\nexport const f = readFileSync;`,
      'no-restricted-imports',
    ],
    ...[
      'Math.min(...xs)',
      'Math.max(0, ...xs.map((x) => x + 1))',
      'Math.hypot(...xs)',
      'list.push(...xs)',
      'list.unshift(...xs)',
      'list.splice(0, 1, ...xs)',
      'list.concat(...xs)',
      'String.fromCharCode(...xs)',
      'Math.max.apply(null, xs)',
      'Reflect.apply(Math.max, null, xs)',
      'new Array(...xs)',
    ].flatMap((call): [string, string, string, string][] =>
      ['domain', 'machines', 'store', 'workflows', 'cli'].map((room) => [
        `${call} in ${room}`,
        `${room}/x.ts`,
        `/** Pure. */\nexport const f = (list: number[], xs: number[]) => ${call};`,
        'no-restricted-syntax',
      ]),
    ),
    ...['api', 'commands', 'activities'].flatMap((room): [string, string, string, string][] => [
      [
        `SQL in ${room}`,
        `${room}/x.ts`,
        `export const f = (db: { query(s: string): unknown }, s: string) => db.query(s);`,
        'no-restricted-syntax',
      ],
      [
        `a statement by its name in ${room}`,
        `${room}/x.ts`,
        `import { namedSql } from '../store/sql/namedSql.ts'; export const x = namedSql('append');`,
        'no-restricted-syntax',
      ],
    ]),
    ['a pure file that does not say so', 'domain/x.ts', `export const x = 1;`, 'edgeml/says-pure'],
    [
      'a machine that waits',
      'machines/x.ts',
      `/** Pure. */\nexport const m = { after: { 1000: 'b' } };`,
      'no-restricted-syntax',
    ],
    [
      'a machine that starts another',
      'machines/x.ts',
      `/** Pure. */\nimport { spawnChild } from 'xstate';\nexport const f = spawnChild;`,
      'no-restricted-syntax',
    ],
    [
      'Node in a workflow',
      'workflows/x.ts',
      `import { join } from 'node:path'; export const x = join;`,
      'no-restricted-imports',
    ],
    [
      'what the sandbox lacks',
      'workflows/x.ts',
      `export const f = () => structuredClone({});`,
      'no-restricted-globals',
    ],
    [
      'module state in a workflow',
      'workflows/x.ts',
      `let n = 0; export const f = () => (n += 1);`,
      'no-restricted-syntax',
    ],
    [
      'a module-level map in a workflow',
      'workflows/x.ts',
      `const m = new Map(); export const f = () => m;`,
      'no-restricted-syntax',
    ],
    ['everything exported from a workflow', 'workflows/x.ts', `export * from './y.ts';`, 'no-restricted-syntax'],
    [
      "XState's waitFor in a workflow",
      'workflows/x.ts',
      `import { waitFor } from 'xstate'; export const f = waitFor;`,
      'no-restricted-syntax',
    ],
    ['console in a workflow', 'workflows/x.ts', `console.log(1);`, 'no-console'],
    ['zod in a workflow', 'workflows/x.ts', `import { z } from 'zod'; export const x = z;`, 'no-restricted-imports'],
  ])('%s', async (_, file, code, rule) => {
    const found = await refusals(plain, file, code);
    expect(found.map((line) => line.split(': ')[0])).toEqual([rule]);
  });

  it('a promise that nobody awaits, and one where a boolean is wanted', async () => {
    const file = join(cwd, 'lintProbe.ts');
    const code = `const f = async () => true;\nexport function g(): number {\n  f();\n  if (f()) return 1;\n  return 0;\n}\n`;
    const found = await refusals(typedFor(file, code), file, code);
    expect(found.map((line) => line.split(': ')[0])).toEqual([
      '@typescript-eslint/no-floating-promises',
      '@typescript-eslint/no-misused-promises',
    ]);
  });
});

describe('lint allows', () => {
  it.each<[what: string, file: string, code: string]>([
    ['a date that is given', 'domain/x.ts', `/** Pure. */\nexport const f = (at: string) => new Date(at);`],
    ['SQL in store', 'store/x.ts', `export const f = (db: { query(s: string): unknown }) => db.query('SELECT 1');`],
    [
      'the query of a request',
      'api/x.ts',
      `export const f = (request: { query: { limit: number } }) => request.query.limit;`,
    ],
    ['a logger in logger.ts', 'logger.ts', `import pino from 'pino'; export const x = pino();`],
    ['the environment in environment.ts', 'environment.ts', `export const x = process.env['X'];`],
    [
      'a spread whose length is written down, or that makes an array',
      'domain/x.ts',
      `/** Pure. */\nexport const f = (xs: number[]) => [...xs, Math.max(...[1, 2])];`,
    ],
    ['a spread in a test', 'store/x.unit.test.ts', `export const f = (xs: number[]) => Math.max(...xs);`],
    ['console in the CLI', 'cli/x.ts', `console.log(1);`],
    ['a clock in a test of domain', 'domain/x.unit.test.ts', `export const f = () => Date.now();`],
    [
      'a constant and a timer in a workflow',
      'workflows/x.ts',
      `const n = 1; export const f = () => setTimeout(() => n, 1);`,
    ],
  ])('%s', async (_, file, code) => {
    expect(await refusals(plain, file, code)).toEqual([]);
  });
});
