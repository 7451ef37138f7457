/** A word that the glossary retired does not come back as the name of something exported, or of a file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { filesBelow, root } from './support/repository.ts';

const GLOSSARY = readFileSync(join(root, 'docs/glossary.md'), 'utf8');
const EXPORTED = /^export (?:declare )?(?:async )?(?:function\*?|const|class|interface|type|enum) (\w+)/gm;

/** Words of a name in camel case, in lower case: `createPublishWindow` has create, publish and window. */
const wordsOf = (name: string) => name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g)?.map((word) => word.toLowerCase()) ?? [];

/** The first column of the table. */
function retired(): string[] {
  const table = GLOSSARY.slice(GLOSSARY.indexOf('## Retired words'));
  const rows = [...table.matchAll(/^\| ([a-z][a-z, ]*?) *\|/gm)].map((row) => row[1]!);
  return rows.flatMap((row) => row.split(', '));
}

const singular = (word: string) => word.replace(/s$/, '');

it('no exported name and no file has a word that the glossary retired', () => {
  const words = new Set(retired());
  expect([...words]).toEqual(expect.arrayContaining(['door', 'bell', 'doorbell', 'ring', 'desk', 'place']));
  const found: string[] = [];
  for (const file of filesBelow(root, /\.ts$/)) {
    const names = [...readFileSync(join(root, file), 'utf8').matchAll(EXPORTED)].map((match) => match[1]!);
    const stem = file.split('/').at(-1)!.split('.')[0]!;
    for (const name of [stem, ...names])
      if (wordsOf(name).some((word) => words.has(singular(word)))) found.push(`${file}: ${name}`);
  }
  expect(found).toEqual([]);
});
