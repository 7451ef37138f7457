/**
 * Checkpoints beside the blobs, outside the database: `checkpoints/<log>/<generation>/<size>`, one file each, never changed. A restore
 * of the database does not take them back, and that is what they are for.
 */
import {
  checkpointText,
  parseCheckpoint,
  type Checkpoint,
  type ReadCheckpoint,
} from '../../domain/ledger/checkpoint.ts';
import type { NamedStore } from '../artifacts/artifactStore.ts';

export interface PublishedFile {
  readonly name: string;
  readonly read: ReadCheckpoint;
}

export interface PublishedCheckpoints {
  /** The one of the greatest size of this origin. */
  newest(origin: string): Promise<Checkpoint | undefined>;
  /** All of this origin by rising size, also those that cannot be read. */
  all(origin: string): Promise<PublishedFile[]>;
  /** Idempotent. @throws ForkedCheckpoint where another root was published at this size */
  publish(checkpoint: Checkpoint): Promise<void>;
}

/** Two roots of one log at one size: this one is not the log that was published. */
export class ForkedCheckpoint extends Error {
  override readonly name = 'ForkedCheckpoint';
}

/** Three digits a folder, so that none holds more than a thousand names. */
const LEVELS = 5;
const DIGITS = 3 * LEVELS;

const folderOf = (origin: string) => `checkpoints/${origin}`;
const nameOf = ({ origin, size }: Pick<Checkpoint, 'origin' | 'size'>) =>
  `${folderOf(origin)}/${String(size).padStart(DIGITS, '0').match(/.../g)!.join('/')}`;

export function createPublished(store: NamedStore): PublishedCheckpoints {
  const parts = async (folder: string) => (await store.list(folder)).filter((part) => /^\d{3}$/.test(part));

  const readFile = async (name: string) =>
    parseCheckpoint(new TextDecoder().decode((await store.read(name)) ?? new Uint8Array()));

  async function read(name: string): Promise<Checkpoint> {
    const read = await readFile(name);
    if (read.ok) return read.checkpoint;
    throw new Error(`the published checkpoint ${name} cannot be read: ${read.why}`);
  }

  async function* below(folder: string, level: number): AsyncGenerator<string> {
    for (const part of await parts(folder)) {
      if (level === LEVELS) yield `${folder}/${part}`;
      else yield* below(`${folder}/${part}`, level + 1);
    }
  }

  return {
    async newest(origin) {
      let name = folderOf(origin);
      for (let level = 1; level <= LEVELS; level += 1) {
        const last = (await parts(name)).at(-1);
        if (last === undefined) return undefined;
        name = `${name}/${last}`;
      }
      return read(name);
    },

    async all(origin) {
      const found: PublishedFile[] = [];
      for await (const name of below(folderOf(origin), 1)) found.push({ name, read: await readFile(name) });
      return found;
    },

    async publish(checkpoint) {
      const name = nameOf(checkpoint);
      if (await store.putIfAbsent(name, new TextEncoder().encode(checkpointText(checkpoint)))) return;
      const there = await read(name);
      if (there.root === checkpoint.root && there.origin === checkpoint.origin) return;
      throw new ForkedCheckpoint(
        `ledger_fork: at size ${checkpoint.size} root ${there.root} was published, this log has ${checkpoint.root}`,
      );
    },
  };
}
