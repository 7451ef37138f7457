/** Pure. Strict semantic versions and their lines (docs/design/publishing.md "Versions and lines"). */
import semver from 'semver';

/** Training labels its checkpoints `<version>-round.<n>`; nobody else may. */
const RESERVED = /(^|\.)round\.\d+$/;

/** Why `text` may not name a version, or undefined if it may. The parser alone forgives `v`, spaces and build metadata. */
export function versionProblem(text: string): string | undefined {
  const parsed = semver.parse(text);
  if (!parsed || parsed.version !== text) {
    return `"${text}" is not a strict semantic version: write MAJOR.MINOR.PATCH, such as 1.4.0, without v or build metadata`;
  }
  if (text.length > 64) return 'a version has at most 64 characters';
  if (RESERVED.test(parsed.prerelease.join('.'))) return `pre-releases that end in round.<n> are reserved for training`;
  return undefined;
}

/** Falling precedence, for sorting newest first. */
export const byPrecedenceDesc = (a: string, b: string) => semver.rcompare(a, b);
export const isHigher = (a: string, b: string) => semver.gt(a, b);
export const isPrerelease = (version: string) => semver.prerelease(version) !== null;

/** MAJOR, MINOR and PATCH, whose order is that of precedence; undefined for a pre-release, which is never the latest. */
export function releaseNumbers(version: string): readonly [number, number, number] | undefined {
  const { major, minor, patch, prerelease } = new semver.SemVer(version);
  return prerelease.length > 0 ? undefined : [major, minor, patch];
}

/** MAJOR.MINOR: versions rise within a line, and older lines stay open for hotfixes. */
export const lineOf = (version: string) => `${semver.major(version)}.${semver.minor(version)}`;

/** Those of one line, cheaply: a strict version begins with its line, and parsing takes a microsecond each. */
const inLine = (line: string, versions: readonly string[]) => versions.filter((v) => v.startsWith(`${line}.`));

/** The published version of the same line that `version` fails to exceed, if there is one. */
export function monotoneConflict(version: string, published: readonly string[]): string | undefined {
  return inLine(lineOf(version), published)
    .filter((p) => !semver.gt(version, p))
    .sort(byPrecedenceDesc)
    .at(0);
}

/** The next patch of the line that is free and above all published ones. */
export function smallestLegal(version: string, published: readonly string[]): string {
  const highest = inLine(lineOf(version), published).sort(byPrecedenceDesc).at(0);
  if (!highest) return `${lineOf(version)}.0`;
  return new semver.SemVer(highest).inc('patch').version;
}

/** `latest`: the highest precedence among `candidates` that is no pre-release; undefined if there is none. */
export function latestOf(candidates: readonly string[]): string | undefined {
  return candidates
    .filter((v) => !isPrerelease(v))
    .sort(byPrecedenceDesc)
    .at(0);
}

/** Why {@link latestOf} finds nothing among `listed`, all published, of which some are not good any more: one clause. */
export function whyNoLatest(listed: readonly string[], isGood: (version: string) => boolean): string {
  if (listed.length === 0) return 'no version is published';
  const previews = listed.filter((v) => isPrerelease(v) && isGood(v)).sort(byPrecedenceDesc);
  const releases = listed.some((v) => !isPrerelease(v)) ? 'every release was rolled back' : 'no release is published';
  if (previews.length === 0) return listed.every(isPrerelease) ? 'every published version was rolled back' : releases;
  const few = previews.slice(0, 3).join(', ');
  return `${releases}, and a pre-release is never the latest: ${few}${previews.length > 3 ? ', …' : ''}`;
}

/** A number as text that sorts by its size: how many digits, then the digits. */
const sortable = (digits: string) => String(digits.length).padStart(2, '0') + digits;

const hex = (ascii: string) => [...ascii].map((c) => c.charCodeAt(0).toString(16)).join('');

/**
 * Text that sorts as versions do by precedence, in every collation: it holds digits and `a` to `f` only. A version that is no
 * semantic one sorts first.
 */
export function precedenceKey(version: string): string {
  const parsed = semver.parse(version);
  if (!parsed) return '';
  const { major, minor, patch, prerelease } = parsed;
  const core = [major, minor, patch].map((n) => sortable(String(n))).join('');
  if (prerelease.length === 0) return `${core}f`;
  // Numbers are lower than words, and a list is lower than the longer one that it begins.
  const words = prerelease.map((id) =>
    /^\d+$/.test(String(id)) ? `0${sortable(String(id))}` : `1${hex(String(id))}00`,
  );
  return `${core}0${words.join('')}`;
}
