/** What a device is told while the pointers may be out of date. */
import type { FastifyRequest } from 'fastify';
import { describe, expect, it } from 'vitest';
import { modelIdOf } from '../domain/hash/uuid.ts';
import { asOrgId } from '../domain/org.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import type { PointerTable } from '../projections/pointerTable.ts';
import { knownModel } from './knownDevice.ts';

const orgId = asOrgId('org_local');
const model_id = modelIdOf(orgId, 'mails');
// The members that the function reads.
const request = { principal: { orgId } } as unknown as FastifyRequest;
const pointer = { model_id, epoch: 3, stable: '1.0.0' } as unknown as Pointer;
const aged = (ageMs: number) => ({
  pointers: {
    ageMs: () => ageMs,
    get: (_org: string, id: string) =>
      Promise.resolve(id === model_id ? { pointer, missesSince: undefined } : undefined),
  } as unknown as PointerTable,
});

describe('what devices are told from', () => {
  it('is the pointer while it follows the log', async () => {
    expect(await knownModel(aged(900), request, 'mails')).toEqual({ modelId: model_id, pointer });
    await expect(knownModel(aged(900), request, 'others')).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('is nothing where it may be out of date: the version it names may have been rolled back since', async () => {
    for (const age of [10_001, Number.POSITIVE_INFINITY]) {
      await expect(knownModel(aged(age), request, 'mails')).rejects.toMatchObject({ code: 'projection_behind' });
    }
  });
});
