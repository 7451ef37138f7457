/** Only what was issued is a token, to the character; and nothing that is sent breaks the reader. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asOrgId } from '../../domain/org.ts';
import { isDue } from './bearer.ts';
import { createDeviceTokens, isTokenForm, TOKEN_TTL_MS } from './deviceTokens.ts';

const tokens = createDeviceTokens(randomBytes(32));
const device = {
  id: 'b2a4b3a0-5e0a-5f3c-9d43-6f0b8f1c7e21',
  orgId: asOrgId('org_a'),
  generation: 3,
  platform: 'ios',
  osVersion: '17.2',
  appVersion: null,
  isTest: false,
};
const NOW = Date.UTC(2026, 10, 23);
const { token } = tokens.issue(device, NOW);
const words = fc.option(fc.string({ unit: 'binary', maxLength: 100 }), { nil: null });
const at = new Date(NOW);
const rest = {
  identifier: 'a',
  region: null,
  sdkVersion: null,
  attributes: {},
  registeredAt: at,
  updatedAt: at,
  lastSeenAt: at,
};

describe('the token of a device', () => {
  it('says what it was issued for, whatever a device calls itself', () => {
    const said = fc.record({
      platform: words,
      osVersion: words,
      appVersion: words,
      generation: fc.nat(),
      isTest: fc.boolean(),
    });
    fc.assert(
      fc.property(said, fc.integer({ min: 0, max: 4e12 }), (some, now) => {
        const issued = tokens.issue({ ...device, ...some }, now);
        const exp = Math.floor(now / 1_000) + TOKEN_TTL_MS / 1_000;
        expect(tokens.read(issued.token)).toEqual({
          ...device,
          ...some,
          issuedAt: Math.floor(now / 1_000),
          expiresAt: exp,
        });
        expect(issued.expiresAt.getTime()).toBe(exp * 1_000);
        expect(issued.token).toMatch(/^[\w.-]+$/);
        return issued.token.length < 4_000;
      }),
    );
  });

  it('has room for whatever is kept of a device, and says the beginning of what is too long', () => {
    for (const one of ['\u0001', '字', '😀']) {
      const long = { ...device, platform: one.repeat(500), osVersion: one.repeat(500), appVersion: one.repeat(500) };
      const issued = tokens.issue(long, NOW).token;
      expect(issued.length).toBeLessThan(4_000);
      const said = one.repeat(100);
      expect(tokens.read(issued)).toMatchObject({ ...device, platform: said, osVersion: said, appVersion: said });
      expect(isDue(tokens.read(issued)!, { ...rest, ...long }, NOW)).toBe(false);
      expect(isDue(tokens.read(issued)!, { ...rest, ...long, appVersion: '1' }, NOW)).toBe(true);
    }
  });

  it('is nothing with one character changed, gone or more, at any place', () => {
    const others = [...'ABab09-_.', ' ', '=', '+', '/', '\u0000', 'é'];
    for (let at = 0; at <= token.length; at += 1) {
      const [before, after] = [token.slice(0, at), token.slice(at)];
      const mutants = others.flatMap((c) => [before + c + after, before + c + after.slice(1)]);
      for (const mutant of [...mutants, before + after.slice(1), before]) {
        if (mutant !== token) expect(tokens.read(mutant), mutant).toBeUndefined();
      }
    }
  });

  it('is nothing by another secret, and no other text of it is read or breaks the reader', () => {
    expect(createDeviceTokens(randomBytes(32)).read(token)).toBeUndefined();
    const part = fc.oneof(fc.string(), fc.base64String(), fc.constantFrom(...token.split('.'), 'ed_1', 'ed_', ''));
    const text = fc.oneof(
      fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
      fc.stringMatching(/^ed_1\.[\w-]{1,200}\.[\w-]{43}$/),
      fc.json().map((json) => `ed_1.${Buffer.from(json).toString('base64url')}.${token.slice(-43)}`),
    );
    fc.assert(
      fc.property(text, (sent) => {
        if (sent !== token) expect(tokens.read(sent)).toBeUndefined();
        if (!isTokenForm(sent)) expect(tokens.read(sent)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });
});
