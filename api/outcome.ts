/** The one place where what a use case concluded becomes HTTP. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Outcome } from '../commands/context.ts';
import { LifecycleError } from '../domain/errors.ts';
import { refusalError } from '../domain/refusal.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import { ifMatchOf, etagOf } from './http/conditional.ts';
import type { EventRef } from '../wire/common.ts';

/** How long an answer waits for the log index of its last fact. */
const INDEX_WAIT_MS = 250;

export interface Concluded {
  readonly events: EventRef[];
  /** Log index of the last fact; null if the sequencer needs longer, or nothing was appended. */
  readonly position: number | null;
}

/**
 * The facts of a good outcome, and their places in the log. Sets `Idempotency-Replayed` and `EdgeML-Position`.
 *
 * @throws LifecycleError with the refusal's code and guards; `precondition_failed`; `conflict`; `idempotency_key_reused`
 */
export async function concluded(
  request: FastifyRequest,
  reply: FastifyReply,
  log: Pick<EventStore, 'awaitLogIndex' | 'logIndexOf'>,
  outcome: Outcome,
): Promise<Concluded> {
  switch (outcome.outcome) {
    case 'refused':
      throw refusalError(outcome.refusal);
    case 'stale': {
      const detail = `${outcome.stream} is at version ${outcome.version} now.`;
      if (ifMatchOf(request) === undefined) throw new LifecycleError('conflict', `${detail} Read it again.`);
      throw new LifecycleError('precondition_failed', `${detail} Read it again, then decide.`, {
        more: { current_etag: etagOf(outcome.version) },
      });
    }
    case 'duplicate':
      if (!outcome.sameRequest) {
        const detail = 'This Idempotency-Key was used for another request. Use a fresh one.';
        throw new LifecycleError('idempotency_key_reused', detail);
      }
      reply.header('idempotency-replayed', 'true');
      break;
    case 'appended':
    case 'already':
  }
  return placed(reply, log, outcome.events);
}

async function placed(
  reply: FastifyReply,
  log: Pick<EventStore, 'awaitLogIndex' | 'logIndexOf'>,
  appended: Extract<Outcome, { outcome: 'appended' }>['events'],
): Promise<Concluded> {
  const last = appended.at(-1);
  if (!last) return { events: [], position: null };
  // Places are given in order, so once the last one has its own the others have theirs.
  const position = await log.awaitLogIndex(last.id, INDEX_WAIT_MS);
  const indexes =
    position === null
      ? appended.map(() => null)
      : await Promise.all(appended.map(async (e) => (await log.logIndexOf(e.id)) ?? null));
  if (position !== null) reply.header('edgeml-position', String(position));
  return {
    events: appended.map((e, i) => ({
      id: e.id,
      type: e.type,
      stream: e.stream,
      stream_version: e.version,
      position: indexes[i] ?? null,
    })),
    position,
  };
}
