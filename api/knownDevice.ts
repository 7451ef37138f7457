/** The device that a request is about, and what devices of a model are told: asked for by the routes of both APIs. */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../domain/errors.ts';
import { ownDevice } from './access/bearer.ts';
import { whoAsks } from './access/principal.ts';
import type { ApiDeps } from './context.ts';
import { modelIdFrom } from './reading.ts';

/**
 * What is known of the device, in memory; a token says it of its own.
 *
 * @throws LifecycleError `device_not_registered`, also for another organisation's; `not_your_device`
 */
export async function existingDevice(deps: Pick<ApiDeps, 'active'>, request: FastifyRequest, id: string) {
  const principal = whoAsks(request);
  const device = await deps.active.find(principal.orgId, ownDevice(principal, id), principal.device);
  if (device) return device;
  throw notRegistered(id);
}

export const notRegistered = (device: string) =>
  new LifecycleError(
    'device_not_registered',
    `Device ${device} is not registered. POST /api/v1/devices/register first.`,
  );

/** Older than this, a pointer may name a version that was rolled back since: better no answer, and the device keeps what it has. */
export const STALE_MS = 10_000;

/** The model's pointer. @throws LifecycleError `model_not_found`; `projection_behind` while it may be out of date */
export async function knownModel({ pointers }: Pick<ApiDeps, 'pointers'>, request: FastifyRequest, text: string) {
  const { orgId } = whoAsks(request);
  const modelId = modelIdFrom(orgId, text);
  const known = await pointers.get(orgId, modelId);
  if (pointers.ageMs() > STALE_MS) {
    const detail = 'The pointers do not follow the log at the moment. Keep the version you have, and ask again.';
    throw new LifecycleError('projection_behind', detail, { retry_after_s: 5 });
  }
  if (!known) throw new LifecycleError('model_not_found', `There is no model ${text}.`);
  if (known.missesSince === undefined) return { modelId, pointer: known.pointer };
  // No retry soon mends it: an operator must. Other models are served.
  const detail = `The pointer of model ${text} misses the fact at ${known.missesSince}. Keep the version you have; the operator is told.`;
  throw new LifecycleError('projection_behind', detail, { retry_after_s: 60 });
}
