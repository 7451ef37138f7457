/** What an abort or a rollback would leave, for the question before it: the server decides it in a dry run, and nothing is changed. */
import { EdgeMLError } from '../../sdk/errors.ts';
import type { Http } from '../../sdk/http.ts';
import type { DryRun } from '../../sdk/types.ts';

/**
 * One sentence; empty where the server refuses (the command itself will say why) or does not answer: a stop does not wait for it.
 *
 * @param path of the command
 */
export async function consequenceSentence(http: Http, path: string, body: unknown): Promise<string> {
  try {
    return sentenceOf(await http.json<DryRun>('POST', path, { body, query: { dry_run: true } }));
  } catch (error) {
    if (error instanceof EdgeMLError) return '';
    throw error;
  }
}

/** What the facts that would be appended say of where devices go. */
export function sentenceOf({ would_append: facts }: Pick<DryRun, 'would_append'>): string {
  const of = (type: string) => facts.find((f) => f.type === type);
  const find = (type: string, member: string): unknown => of(type)?.data[member];
  // The rollout of a version that is stable meanwhile ends, and everyone keeps the version.
  const kept = of('VersionRestored')?.stream.split('@')[1];
  if (kept !== undefined && !of('StableVersionRestored')) return `Devices stay on ${kept}.`;
  const to =
    find('StableVersionRestored', 'version') ?? find('RolloutRolledBack', 'target') ?? find('VersionSuperseded', 'by');
  if (typeof to === 'string') return `Devices return to ${to}.`;
  // An abort of a rollout that never started is one fact, and changes nothing for devices.
  if (facts.length < 2) return '';
  return 'No version is stable then: devices are told nothing new.';
}
