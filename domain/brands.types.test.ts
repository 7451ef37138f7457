/** What the compiler refuses to mix. A line that it takes by mistake fails the type check. */
import { expect, it } from 'vitest';
import { asLogIndex, asStreamVersion, type LogIndex, type ModelId, type Semver, type Sha256 } from './brands.ts';
import { modelStream, parseStream, versionStream } from './events/streams.ts';

it('is any text where a text has a kind, and never one of another kind', () => {
  const parsed = parseStream('version-spam@1.0.0');
  if (parsed?.kind !== 'version') throw new Error('no version');
  const { modelId, version } = parsed;
  expect(versionStream(modelId, version)).toBe(versionStream('spam', '1.0.0'));
  // @ts-expect-error -- a version is no model
  expect(versionStream(version, version)).toBe('version-1.0.0@1.0.0');
  // @ts-expect-error -- a model is no version
  expect(versionStream(modelId, modelId)).toBe('version-spam@spam');
  const digest: Sha256 = 'a'.repeat(64);
  // @ts-expect-error -- bytes are no model
  expect(modelStream(digest)).toBe(`model-${'a'.repeat(64)}`);
  // @ts-expect-error -- nor are they a version
  const mixed: Semver = digest;
  const plain: string = modelId satisfies ModelId;
  expect([mixed, plain]).toEqual([digest, 'spam']);
});

it('is only what was parsed where a number has a brand', () => {
  // @ts-expect-error -- a place in a stream is none in the log
  const index: LogIndex = asStreamVersion(3);
  expect(index).toBe(asLogIndex(3));
});
