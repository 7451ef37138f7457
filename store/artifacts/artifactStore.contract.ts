/** The contracts of `ArtifactStore` and `NamedStore`: the same assertions over every adapter. */
import type { Sha256 } from '../../domain/brands.ts';
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ArtifactStore, NamedStore } from './artifactStore.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export interface ArtifactFixture {
  readonly store: ArtifactStore;
  /** Files or objects of any kind, finished or not. */
  count(): Promise<number>;
  /** Changes a stored byte behind the store's back. */
  damage(sha256: Sha256): Promise<void>;
}

/** Declares the suite; `open` gives a fresh, empty store for each test. */
export function artifactStoreContract(name: string, open: () => Promise<ArtifactFixture>): void {
  describe(`artifact store: ${name}`, () => {
    const bytes = randomBytes(300_000);
    const sha256 = digest(bytes);

    it('names a blob by its bytes, whether they come at once or as a stream', async () => {
      const { store } = await open();
      expect(await store.put(bytes, { max: 1e6 })).toEqual({ sha256, bytes: bytes.length });
      const pieces = Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 70_000), bytes.subarray(70_000)]);
      expect(await store.put(pieces, { max: 1e6, sha256 })).toEqual({ sha256, bytes: bytes.length });
      expect(await store.stat(sha256)).toEqual({ sha256, bytes: bytes.length });
      expect(Buffer.compare(await buffer(await store.get(sha256)), bytes)).toBe(0);
      expect(Buffer.compare(await store.bytes(sha256), bytes)).toBe(0);
    });

    it('keeps an empty blob', async () => {
      const { store } = await open();
      const empty = await store.put(new Uint8Array(), { max: 0 });
      expect(empty).toEqual({ sha256: digest(new Uint8Array()), bytes: 0 });
      expect((await store.bytes(empty.sha256)).length).toBe(0);
    });

    it('gives ranges, both ends inclusive, and refuses one that starts past the end', async () => {
      const { store } = await open();
      await store.put(bytes, { max: 1e6 });
      const part = await buffer(await store.get(sha256, { start: 10, end: 19 }));
      expect(Buffer.compare(part, bytes.subarray(10, 20))).toBe(0);
      const last = await buffer(await store.get(sha256, { start: bytes.length - 1, end: bytes.length + 99 }));
      expect(Buffer.compare(last, bytes.subarray(-1))).toBe(0);
      await expect(store.get(sha256, { start: bytes.length, end: bytes.length })).rejects.toMatchObject({
        code: 'bad_range',
      });
    });

    it('leaves nothing of a refused or broken stream', async () => {
      const { store, count } = await open();
      await expect(store.put(Readable.from([bytes]), { max: bytes.length - 1 })).rejects.toMatchObject({
        code: 'payload_too_large',
      });
      await expect(store.put(bytes, { max: 1e6, sha256: digest(Buffer.from('other')) })).rejects.toMatchObject({
        code: 'checksum_mismatch',
      });
      async function* broken() {
        yield bytes;
        throw new Error('the device went away');
      }
      await expect(store.put(Readable.from(broken()), { max: 1e6 })).rejects.toThrow('the device went away');
      expect(await count()).toBe(0);
      expect(await store.stat(sha256)).toBeUndefined();
    });

    it('has no blob before spooled bytes are kept, and none where they are discarded', async () => {
      const { store, count } = await open();
      const dropped = await store.spool(Readable.from([bytes.subarray(0, 10), bytes.subarray(10)]), { max: 1e6 });
      expect(dropped).toMatchObject({ sha256, bytes: bytes.length });
      expect(await store.stat(sha256)).toBeUndefined();
      await dropped.discard();
      await dropped.discard();
      expect(await count()).toBe(0);
      const kept = await store.spool(bytes, { max: 1e6 });
      expect(await kept.keep()).toEqual({ sha256, bytes: bytes.length });
      await kept.discard();
      await store.sweep();
      expect(Buffer.compare(await store.bytes(sha256), bytes)).toBe(0);
      expect(await count()).toBe(1);
    });

    it('takes the same blob from many at once', async () => {
      const { store, count } = await open();
      const all = await Promise.all(Array.from({ length: 8 }, () => store.put(Readable.from([bytes]), { max: 1e6 })));
      expect(new Set(all.map((b) => b.sha256))).toEqual(new Set([sha256]));
      expect(await count()).toBe(1);
    });

    it('says what it does not have, and never reads a path that is no digest', async () => {
      const { store } = await open();
      for (const name of [sha256, '../../etc/passwd', sha256.toUpperCase()]) {
        expect(await store.stat(name)).toBeUndefined();
        await expect(store.get(name)).rejects.toMatchObject({ code: 'blob_unknown' });
        await expect(store.bytes(name)).rejects.toMatchObject({ code: 'blob_unknown' });
        await store.remove(name);
      }
    });

    it('notices bytes that changed underneath, and mends them when they are put again', async () => {
      const { store, damage } = await open();
      await store.put(bytes, { max: 1e6 });
      await damage(sha256);
      await expect(store.bytes(sha256)).rejects.toMatchObject({ code: 'checksum_mismatch' });
      await store.put(bytes, { max: 1e6 });
      expect(Buffer.compare(await store.bytes(sha256), bytes)).toBe(0);
    });

    it('removes, twice without complaint', async () => {
      const { store, count } = await open();
      await store.put(bytes, { max: 1e6 });
      await store.remove(sha256);
      await store.remove(sha256);
      expect(await count()).toBe(0);
    });
  });
}

/** Declares the suite; `open` gives a fresh, empty store for each test. */
export function namedStoreContract(name: string, open: () => Promise<NamedStore>): void {
  describe(`named store: ${name}`, () => {
    const one = Buffer.from('one');

    it('writes a name once; of many at once, one wins and all read it whole', async () => {
      const store = await open();
      const texts = Array.from({ length: 8 }, (_, i) => Buffer.from(`${i}`.repeat(50_000)));
      const won = await Promise.all(texts.map((bytes) => store.putIfAbsent('a/b', bytes)));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(Buffer.compare((await store.read('a/b'))!, texts[won.indexOf(true)]!)).toBe(0);
      expect(await store.putIfAbsent('a/b', one)).toBe(false);
      expect(await store.list('a')).toEqual(['b']);
    });

    it('lists what lies right below a folder, sorted', async () => {
      const store = await open();
      for (const name of ['x/010', 'x/002', 'x/001/a', 'y']) await store.putIfAbsent(name, one);
      expect(await store.list('x')).toEqual(['001', '002', '010']);
      expect(await store.list('z')).toEqual([]);
      expect(await store.read('x/011')).toBeUndefined();
    });

    it('never leaves its place', async () => {
      const store = await open();
      for (const name of ['', '/a', 'a/', '../a', 'a/../b', '.a', 'a//b', 'a\0']) {
        await expect(store.putIfAbsent(name, one)).rejects.toThrow('not a name');
        await expect(store.read(name)).rejects.toThrow('not a name');
      }
    });
  });
}
