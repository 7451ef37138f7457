/** Names of subjects and types outside. */
import { describe, expect, it } from 'vitest';
import { factsByKind } from '../domain/events/codec.ts';
import { cloudEventAttributes, headerValue } from './cloudEvent.ts';
import { factName, factSubject, factTypeName } from './subjects.ts';

describe('names of facts', () => {
  it.each([
    ['rollout-42', 'RolloutPaused', 'edgeml.events.rollout.42.paused'],
    ['rollout-42', 'StageEntered', 'edgeml.events.rollout.42.stage_entered'],
    ['rollout-42', 'RolloutRolledBack', 'edgeml.events.rollout.42.rolled_back'],
    ['version-7f0e@1.1.0', 'VersionRolledBack', 'edgeml.events.version.7f0e.rolled_back'],
    ['version-7f0e@1.1.0', 'TrainingStarted', 'edgeml.events.version.7f0e.training_started'],
    ['model-7f0e', 'VersionListed', 'edgeml.events.model.7f0e.version_listed'],
    ['training-r.1 *>', 'RoundOpened', 'edgeml.events.training.r_1___.round_opened'],
  ])('%s %s is %s', (stream, type, subject) => {
    expect(factSubject(stream, type)).toBe(subject);
  });

  it('keeps facts of one stream apart', () => {
    for (const [kind, facts] of Object.entries(factsByKind)) {
      const names = Object.keys(facts).map((type) => factName(`${kind}-1`, type));
      expect(new Set(names).size).toBe(names.length);
      expect(names.every((n) => /^[a-z][a-z0-9_]*$/.test(n))).toBe(true);
    }
  });

  it('versions the type', () => {
    expect(factTypeName('rollout-42', 'StageEntered', 3)).toBe('dev.edgeml.rollout.stage_entered.v3');
  });
});

describe('CloudEvents attributes', () => {
  it('are those of the page, absent ids left out', () => {
    expect(
      cloudEventAttributes(
        {
          eventId: '019ab2c4-0000-7000-8000-000000000000',
          stream: 'version-m1@1.1.0',
          type: 'VersionPublished',
          schemaVersion: 1,
          actor: { kind: 'key', id: 'key_7Q2f' },
          correlationId: 'rollout:42',
          causationId: null,
          recordedAt: '2026-11-23T07:16:00.123Z',
          logIndex: 18204,
        },
        'https://edgeml.example.com',
      ),
    ).toEqual({
      specversion: '1.0',
      id: '019ab2c4-0000-7000-8000-000000000000',
      source: 'https://edgeml.example.com',
      type: 'dev.edgeml.version.published.v1',
      subject: 'models/m1/versions/1.1.0',
      time: '2026-11-23T07:16:00.123Z',
      timestamp: '2026-11-23T07:16:00.123Z',
      sequence: '00000000000000018204',
      partitionkey: 'version-m1@1.1.0',
      correlationid: 'rollout:42',
      authtype: 'api_key',
      authid: 'key_7Q2f',
      dataschema: '/schemas/dev.edgeml.version.published.v1.json',
      datacontenttype: 'application/json',
    });
  });

  it('percent-encode what a header cannot hold, and leave the rest', () => {
    expect(headerValue('rollout:42/é "x" 5% 😀\r\n')).toBe('rollout:42/%C3%A9%20%22x%22%205%25%20%F0%9F%98%80%0D%0A');
    expect(headerValue('half \ud800')).toBe('half%20%EF%BF%BD');
  });
});
