/**
 * Pages that code, tests and pages cite are in the repository, and so are their headings. The form in a comment is the path from the
 * root and the heading in double quotes, on one line; a page of `docs/design/` is never cited without one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, root } from './support/repository.ts';

const READ = /(\.(ts|sql|mjs|cjs|js|md|yml)|Dockerfile)$/;
/** Applied migrations never change, so they keep the names of pages as they were when they were written. */
const FROZEN = new Set(
  ['0001_log', '0002_append', '0004_keys', '0005_horizon', '0010_rounds', '0020_devices', '0030_processes'].map(
    (name) => `store/sql/migrations/${name}.sql`,
  ),
);

/** Headings of a page as they are written; what stands in blocks of code is none. */
function headingsOf(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map((m) => m[1]!.trim());
}

/** The part of an address that leads to a heading. @source github.com's rule for anchors */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** Where the page is, from the root: named from the root, or from its own folder by a page or a path that begins with a dot. */
function resolve(file: string, page: string): string | undefined {
  const places = file.endsWith('.md') || page.startsWith('.') ? [page, join(dirname(file), page)] : [page];
  return places.find((place) => existsSync(join(root, place)));
}

const CITATION = /([\w.-]+\/)*[\w.-]+\.md\b(?:#([\w-]+))?(?:`?,? "([^"]+)")?/g;

/** One sentence for each citation of the text that leads nowhere. */
function faultsOf(file: string, text: string): string[] {
  return text.split('\n').flatMap((line, i) =>
    [...line.replaceAll(/https?:\/\/\S+/g, '').matchAll(CITATION)].flatMap(([whole, , anchor, heading]) => {
      const page = whole.split(/[#`," ]/)[0]!;
      const at = `${file}:${i + 1}: ${page}`;
      const found = resolve(file, page);
      if (found === undefined) return [`${at} is not in the repository`];
      if (anchor !== undefined && !headingsOf(found).map(anchorOf).includes(anchor)) return [`${at} has no #${anchor}`];
      if (heading !== undefined) return headingsOf(found).includes(heading) ? [] : [`${at} has no "${heading}"`];
      return found.startsWith('docs/design/') && !file.endsWith('.md') ? [`${at} is cited without a heading`] : [];
    }),
  );
}

/** Links of a page to its own headings. */
function ownAnchorFaults(file: string, text: string): string[] {
  const anchors = headingsOf(file).map(anchorOf);
  return [...text.matchAll(/\]\(#([^)]+)\)/g)]
    .filter((m) => !anchors.includes(m[1]!))
    .map((m) => `${file} has no #${m[1]}`);
}

const files = filesBelow(root, READ).filter((file) => !FROZEN.has(file));
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

describe('cited pages', () => {
  it('exist, with their headings', () => {
    expect(files.length).toBeGreaterThan(500);
    const self = relative(root, import.meta.filename);
    expect(files.filter((file) => file !== self).flatMap((file) => faultsOf(file, textOf(file)))).toEqual([]);
  });

  it('have the headings that they link to themselves', () => {
    expect(files.filter((file) => file.endsWith('.md')).flatMap((file) => ownAnchorFaults(file, textOf(file)))).toEqual(
      [],
    );
  });

  it('are met in every form', () => {
    const page = 'docs/design/rollout.md';
    expect(faultsOf('a.ts', `see ${page} "Stage clock".`)).toEqual([]);
    expect(faultsOf('a.ts', `see ${page} "Stage clocks"`)).toEqual([`a.ts:1: ${page} has no "Stage clocks"`]);
    expect(faultsOf('a.sql', `\nsee ${page} 5.9`)).toEqual([`a.sql:2: ${page} is cited without a heading`]);
    expect(faultsOf('a.ts', '(`rollout.md` 5.9)')).toEqual(['a.ts:1: rollout.md is not in the repository']);
    expect(faultsOf('docs/a.md', '[b](design/rollout.md#stage-clock) `design/rollout.md`, "Ramp"')).toEqual([]);
    expect(faultsOf('docs/a.md', '[b](design/rollout.md#stages)')).toHaveLength(1);
    expect(faultsOf('a.ts', 'https://example.com/other.md')).toEqual([]);
  });

  it('are excused in migrations only that cite what is gone', () => {
    for (const file of FROZEN) expect(faultsOf(file, textOf(file)), file).not.toEqual([]);
  });
});
