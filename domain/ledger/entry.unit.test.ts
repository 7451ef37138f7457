/** The text of a leaf is frozen. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../hash/canonicalJson.ts';
import { leafHash } from '../hash/merkle.ts';
import { bytesToHex, sha256Hex, utf8ToBytes } from '../hash/sha256.ts';
import { ledgerEntry, ledgerLeaf, type LedgerFact } from './entry.ts';

const fact: LedgerFact = {
  eventId: '019ab2c4-0000-7000-8000-000000000000',
  stream: 'rollout-42',
  streamVersion: 3,
  type: 'RolloutPaused',
  schemaVersion: 1,
  machine: 'rollout@1',
  actor: { kind: 'key', id: 'key_7Q2f' },
  commandId: 'http:key_7Q2f:k1',
  commandSeq: 1,
  correlationId: null,
  causationId: null,
  recordedAt: '2026-11-23T07:16:00.123Z',
};
const place = { logIndex: 18204, sequencedAt: '2026-11-23T07:16:00.130Z' };
const data = '{"cause":"manual","reason":"é"}';
const text = (f: LedgerFact, d = data) => new TextDecoder().decode(ledgerEntry(f, place, d));

/** The members of an entry, by the design and not by the code. */
function rfc8785({ actor, correlationId, causationId, ...rest }: LedgerFact): unknown {
  const ids = {
    ...(correlationId === null ? {} : { correlationId }),
    ...(causationId === null ? {} : { causationId }),
  };
  return { v: 1, ...place, ...rest, ...ids, actor: `${actor.kind}:${actor.id}`, dataSha256: sha256Hex(data) };
}
function outcome(make: () => string): string {
  try {
    return make();
  } catch (error) {
    return (error as Error).name;
  }
}

describe('ledger entry', () => {
  it('is this text, for ever', () => {
    expect(text(fact)).toBe(
      '{"actor":"key:key_7Q2f","commandId":"http:key_7Q2f:k1","commandSeq":1,' +
        `"dataSha256":"${sha256Hex(data)}","eventId":"019ab2c4-0000-7000-8000-000000000000","logIndex":18204,` +
        '"machine":"rollout@1","recordedAt":"2026-11-23T07:16:00.123Z","schemaVersion":1,' +
        '"sequencedAt":"2026-11-23T07:16:00.130Z","stream":"rollout-42","streamVersion":3,"type":"RolloutPaused","v":1}',
    );
    expect(bytesToHex(ledgerLeaf(fact, place, data))).toBe(bytesToHex(leafHash(ledgerEntry(fact, place, data))));
  });

  it('is RFC 8785 JSON whatever its texts are, and refuses what no reader holds', () => {
    const texts = fc.record({
      ...{ stream: fc.string({ unit: 'binary' }), machine: fc.string(), commandId: fc.string({ unit: 'grapheme' }) },
      ...{ correlationId: fc.option(fc.string({ unit: 'binary' })), causationId: fc.option(fc.string()) },
      type: fc.constantFrom('\\u0000', 'a\u2028b', '"', '\\ud800', 'é'),
    });
    fc.assert(
      fc.property(texts, (drawn) => {
        const written = outcome(() => text({ ...fact, ...drawn }));
        expect(written).toEqual(outcome(() => canonicalJson(rfc8785({ ...fact, ...drawn }))));
      }),
    );
    for (const one of ['\ud800', 'a\0']) expect(() => text({ ...fact, stream: one })).toThrow();
  });

  it('names correlation and causation where there are any', () => {
    expect(text({ ...fact, correlationId: 'rollout:42', causationId: 'x' })).toContain(
      '"causationId":"x","commandId":"http:key_7Q2f:k1","commandSeq":1,"correlationId":"rollout:42"',
    );
  });

  it('is the RFC 8785 text of its members, whatever they hold', () => {
    const words = fc.string({ unit: 'grapheme' }).filter((s) => !s.includes('\0'));
    const count = fc.nat();
    const any = fc.record({
      eventId: words,
      stream: words,
      streamVersion: count,
      type: words,
      schemaVersion: count,
      machine: words,
      actor: fc.record({ kind: words, id: words }),
      commandId: words,
      commandSeq: count,
      correlationId: fc.option(words),
      causationId: fc.option(words),
      recordedAt: words,
    });
    fc.assert(
      fc.property(any, fc.record({ logIndex: count, sequencedAt: words }), words, (fact, at, d) => {
        const { actor, ...rest } = fact;
        const members = {
          ...rest,
          ...at,
          actor: `${actor.kind}:${actor.id}`,
          dataSha256: sha256Hex(utf8ToBytes(d)),
          v: 1,
        };
        const named = Object.entries(members).filter(([, value]) => value !== null);
        expect(new TextDecoder().decode(ledgerEntry(fact, at, d))).toBe(canonicalJson(Object.fromEntries(named)));
      }),
    );
  });

  it('refuses half of a surrogate pair', () => {
    expect(() => ledgerEntry({ ...fact, commandId: 'a\ud800' }, place, data)).toThrow(/surrogate/);
  });

  it('changes with every member of the fact, its place, and each byte of its data', () => {
    const base = text(fact);
    for (const key of Object.keys(fact)) {
      const value = fact[key as keyof LedgerFact];
      const other =
        typeof value === 'number'
          ? value + 1
          : typeof value === 'object' && value !== null
            ? { kind: 'key', id: 'other' }
            : `${value}x`;
      expect(text({ ...fact, [key]: other })).not.toBe(base);
    }
    expect(text(fact, data.replace('"reason"', ' "reason"'))).not.toBe(base);
  });
});
