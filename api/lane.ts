/** Which connections a request uses: those of everybody, or the few that only stops have. */
import type { FastifyRequest } from 'fastify';
import type { CommandDeps } from '../commands/context.ts';
import type { KeyStore } from '../store/keys/keyStore.ts';
import type { PostgresEventStore } from '../store/log/postgresEventStore.ts';

/** Everything a stop reads and writes, from its key to its answer. */
export interface StopDeps {
  readonly log: PostgresEventStore;
  readonly commands: CommandDeps;
  readonly keys: KeyStore;
}

/** The lane of a request: the stop lane on a route with `stop`, so that no reader in front of it can hold it up. */
export function laneFor<Lane>(deps: Lane & { readonly stops: Lane }, request: FastifyRequest): Lane {
  return request.routeOptions.config.stop === true ? deps.stops : deps;
}
