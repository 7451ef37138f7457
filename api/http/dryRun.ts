/** `?dry_run=true`: a use case decides as always; where it would append, it stops and says what. */
import type { CommandDeps } from '../../commands/context.ts';
import type { AppendRequest } from '../../store/log/eventStore.ts';
import type { DryRun } from '../../wire/common.ts';

/** Ends a use case where it would append. It travels as a throw, so that no use case needs to know of dry runs. */
export class DryRunEnd extends Error {
  override readonly name = 'DryRunEnd';
  readonly answer: DryRun & Readonly<Record<string, unknown>>;
  /** @param answer with the members that a route adds to it */
  constructor(answer: DryRun & Readonly<Record<string, unknown>>) {
    super('dry run');
    this.answer = answer;
  }
}

const end = (request: AppendRequest): never => {
  throw new DryRunEnd({
    would_append: request.events.map(({ stream, fact }) => ({ stream, type: fact.type, data: { ...fact.data } })),
    guards: [],
  });
};

/** The same stores with an append that throws {@link DryRunEnd}; a transaction around it is rolled back. */
export function dryRunDeps(deps: CommandDeps): CommandDeps {
  const { log } = deps;
  return {
    ...deps,
    log: {
      load: log.load,
      tendSnapshots: log.tendSnapshots,
      readStream: log.readStream,
      readPart: log.readPart,
      streamVersions: log.streamVersions,
      readLog: log.readLog,
      head: log.head,
      logIndexOf: log.logIndexOf,
      awaitLogIndex: log.awaitLogIndex,
      resolveAsOf: log.resolveAsOf,
      append: async (request) => end(request),
      transaction: (lane, body) =>
        log.transaction(lane, (tx) => body({ query: tx.query.bind(tx), append: async (request) => end(request) })),
    },
  };
}
