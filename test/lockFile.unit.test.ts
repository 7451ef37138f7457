/** What `npm ci` needs of the lock file on every platform, and what it may not carry. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const text = readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8');
const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, LockedPackage>> }; // written by npm

const nameOf = (path: string) => path.split('node_modules/').at(-1)!;

describe('package-lock.json', () => {
  it('names no download address', () => {
    const addresses = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
    expect(addresses.map(([path]) => path)).toEqual([]);
    expect(text).not.toMatch(/https?:\/\/[^"]*\.tgz/);
  });

  it('lists every platform package of what it lists, or npm ci fails elsewhere', () => {
    const locked = new Set(Object.keys(packages).map(nameOf));
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter((name) => !locked.has(name))
        .map((name) => `${name} of ${path}`),
    );
    expect(missing).toEqual([]);
  });

  // Two copies, and Temporal's history JSON breaks: "type must be a Type".
  it('has one protobufjs for everything of Temporal', () => {
    const copies = Object.keys(packages).filter((path) => nameOf(path) === 'protobufjs');
    expect(copies.filter((path) => path.includes('@temporalio'))).toEqual([]);
    expect(copies).toContain('node_modules/protobufjs');
  });
});
