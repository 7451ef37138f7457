/** At which moment a view of the past stands. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { asOrgId } from '../domain/org.ts';
import { viewOf, type Reading } from './reading.ts';

const givenOut = ['2026-01-01T10:00:00.000Z', '2026-01-01T11:30:00.000Z'];
// The members that a view reads.
const factAt = (logIndex: number) => ({ logIndex, sequencedAt: givenOut[logIndex] }) as SequencedEvent;
const log = {
  readLog: (after: number) => Promise.resolve(after + 1 < givenOut.length ? [factAt(after + 1)] : []),
  resolveAsOf: (asOf: string) => Promise.resolve(Number(asOf)),
  head: () => Promise.resolve(1),
};
const deps = { log } as unknown as Reading;
const request = {
  principal: { orgId: asOrgId('org_local') },
  routeOptions: { config: {} },
} as unknown as FastifyRequest;
const reply = { header: () => reply } as unknown as FastifyReply;

describe('the clock of a view', () => {
  it('stands at the moment its position was given out, so a stage shows what it showed then', async () => {
    expect((await viewOf(deps, request, reply, '0')).at).toBe(Date.parse('2026-01-01T10:00:00.000Z'));
    expect((await viewOf(deps, request, reply, '1')).at).toBe(Date.parse('2026-01-01T11:30:00.000Z'));
    expect((await viewOf(deps, request, reply, '-1')).at).toBe(0);
  });

  it('is now where nothing else is asked for', async () => {
    const before = Date.now();
    expect((await viewOf(deps, request, reply)).at).toBeGreaterThanOrEqual(before);
  });
});
