/** Drawings and lists of files in the pages name what is there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** Files that a page names in backticks, each with the functions, `name()`, of its line. */
function named(page: string): { readonly file: string; readonly functions: readonly string[] }[] {
  return read(page)
    .split('\n')
    .flatMap((line) => {
      const files = [...line.matchAll(/`(\w[\w./-]*\.(?:ts|sql|md|json))`/g)].map((found) => found[1]!);
      const functions = [...line.matchAll(/`(\w+)\(\)`/g)].map((found) => found[1]!);
      return files.map((file) => ({ file, functions: files.length === 1 ? functions : [] }));
    });
}

const drawings = (page: string) => [...read(page).matchAll(/```mermaid\n([^]*?)```/g)].map((found) => found[1]!);

describe.each(['docs/paths.md', 'docs/statecharts.md', 'docs/adding.md'])('%s', (page) => {
  it.each(named(page))('names $file $functions', ({ file, functions }) => {
    expect(existsSync(join(root, file)), `${page} names ${file}, which is not there`).toBe(true);
    const text = read(file);
    for (const name of functions) {
      expect(text, `${page}: ${file} has no ${name}`).toMatch(new RegExp(String.raw`\b(const ${name}\b|${name}[(<])`));
    }
  });
});

it('docs/paths.md follows five things', () => {
  const headings = [...read('docs/paths.md').matchAll(/^## (.*)$/gm)].map((found) => found[1]);
  expect(headings).toEqual([
    'A device asks',
    'An operator starts a rollout',
    'A verdict rolls back',
    'A round closes',
    'A version is published',
  ]);
});

it('docs/adding.md ends each recipe with the test that tries it', () => {
  const [, ...recipes] = read('docs/adding.md').split(/^## /m);
  expect(recipes.map((recipe) => recipe.split('\n')[0])).toEqual([
    'A read model',
    'An artifact format',
    'A route',
    'A CLI command',
    'A metric of the judge',
  ]);
  for (const recipe of recipes)
    expect(recipe).toMatch(/\nTried by `[\w./]*adding\.(unit|int)\.test\.ts`, which (passes|adds) /);
});

describe('the drawings of processes and of an append', () => {
  it('are the same in README.md and docs/architecture.md', () => {
    expect(drawings('README.md')).toHaveLength(2);
    expect(drawings('docs/architecture.md')).toEqual(drawings('README.md'));
  });

  it('show every process, and only files that are there', () => {
    for (const drawing of drawings('README.md')) {
      const files = [...drawing.matchAll(/[\w/]+\.ts\b/g)].map(([file]) => file);
      expect([...new Set(files)].sort()).toEqual(['followers.ts', 'server.ts', 'worker.ts']);
      expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    }
  });
});
