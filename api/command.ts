/** How a route runs a use case: the caller from the request, a dry run where it is asked for, the outcome as HTTP. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller, CommandDeps, Outcome } from '../commands/context.ts';
import type { ApiDeps } from './context.ts';
import { dryRunDeps, DryRunEnd } from './http/dryRun.ts';
import { laneFor } from './lane.ts';
import { callerOf } from './http/idempotency.ts';
import { concluded, type Concluded } from './outcome.ts';

export interface CommandAbout {
  /** Stream that `If-Match` is about. */
  readonly stream?: string;
  /** What makes two requests one where no Idempotency-Key is sent. */
  readonly businessKey?: string;
}

/**
 * Runs one use case for a request.
 *
 * @throws LifecycleError as `concluded` says; DryRunEnd in a dry run, which the error handler answers with 200
 */
export async function runCommand<T extends Outcome>(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  about: CommandAbout,
  useCase: (deps: CommandDeps, caller: Caller) => Promise<T>,
): Promise<{ readonly outcome: T } & Concluded> {
  const { commands, log } = laneFor(deps, request);
  const isDry = isDryRun(request);
  const outcome = await useCase(isDry ? dryRunDeps(commands) : commands, callerOf(request, about));
  if (isDry && outcome.outcome === 'refused') {
    throw new DryRunEnd({ would_append: [], guards: (outcome.refusal.guards ?? []).map((g) => ({ ...g })) });
  }
  if (isDry && outcome.outcome === 'already') throw new DryRunEnd({ would_append: [], guards: [] });
  return { outcome, ...(await concluded(request, reply, log, outcome)) };
}

function isDryRun(request: FastifyRequest): boolean {
  const { query } = request;
  return typeof query === 'object' && query !== null && 'dry_run' in query && query.dry_run === true;
}
