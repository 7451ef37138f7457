/** What the compiler refuses of events. Each `@ts-expect-error` fails the type check where its line would compile. */
import { expect, it } from 'vitest';
import { tagged, type Tagged } from './codec.ts';
import type { EventIn } from './envelope.ts';
import { rolloutStream, versionStream, type StreamName } from './streams.ts';

declare const of: Tagged;
declare function read<S extends string>(stream: S): EventIn<S>;

/** Never called: only its types matter. */
export function impossible() {
  // @ts-expect-error which facts it may be, only its kind says
  const published: 'VersionPublished' = of.fact.type;
  if (of.kind === 'version') {
    // @ts-expect-error a version's stream holds no rounds
    void (of.fact.type === 'RoundOpened');
    // @ts-expect-error and names no run
    void of.runId;
  }
  // @ts-expect-error a rollout's stream has no fact of a model
  void (read(rolloutStream(1)).fact.type === 'ModelRegistered');
  // @ts-expect-error one kind of stream is not another
  const stream: StreamName<'model'> = versionStream('m', '1.0.0');
  return [published, stream];
}

it('tells the parts of a stream with its fact', () => {
  const fact = { type: 'VersionListed', data: { version: '1.0.0' } } as const;
  expect(tagged({ stream: 'model-m', fact })).toEqual({ kind: 'model', modelId: 'm', fact });
  expect(tagged({ stream: 'nothing', fact })).toBeUndefined();
});
