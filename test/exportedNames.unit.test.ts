/** One name, one thing: no two files of the product export a function or a value under one name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { filesBelow, root } from './support/repository.ts';

const IS_TRIED = /^(test|bench|dev|examples)\/|\.(test|fixture|contract)\.ts$/;
const DECLARED = /^export (?:async )?(?:function\*?|const|class) (\w+)/gm;

it('no two files export one name', () => {
  const named = new Map<string, string[]>();
  for (const file of filesBelow(root, /\.ts$/).filter((one) => !IS_TRIED.test(one))) {
    for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(DECLARED)) {
      const found = named.get(name!) ?? [];
      named.set(name!, [...found, file]);
    }
  }
  expect(named.size).toBeGreaterThan(500);
  const twice = [...named].filter(([, places]) => places.length > 1);
  expect(twice.map(([name, places]) => `${name}: ${places.join(', ')}`)).toEqual([]);
});
