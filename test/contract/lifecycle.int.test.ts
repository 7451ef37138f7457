/** A model's way over HTTP: drafts, rollouts in each state, stops, the way back. Long: one life, in order. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lookAt } from '../../activities/rolloutStanding.ts';
import { judgeRollout } from '../../commands/judgeRollout.ts';
import { pauseRollout } from '../../commands/pauseRollout.ts';
import { rolloutMachine } from '../../machines/rollout.ts';
import { weights } from '../support/commands.ts';
import { OWN, openTestApi, SDK, systemCaller, textOf, type Answer, type Body, type TestApi } from './testApi.ts';
import { plainStage, rolloutSteps } from './rolloutSteps.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const typesOf = ({ body }: Answer) => (body['events'] as { type: string }[]).map((e) => e.type);

const { started, act, makeStable } = rolloutSteps(() => t);

describe('a rollout', () => {
  it('is created pending, started, paused, resumed, advanced by override, completed', async () => {
    await t.published('walk', '1.0.0');
    const made = await t.call('POST', `${OWN}/models/walk/rollouts`, {
      body: { version: '1.0.0', stages: [plainStage(10), plainStage(100)] },
    });
    expect(made.body).toMatchObject({ status: 'pending', stage: -1, percent_now: 0, percent_target: 100 });
    const id = Number(made.body['id']);
    expect(typesOf(await act(id, 'start'))).toEqual(['RolloutStarted', 'StageEntered', 'DeploymentStarted']);
    const paused = await act(id, 'pause', { reason: 'look closer' }, { idempotent: false });
    expect(paused.body).toMatchObject({
      status: 'paused',
      percent_now: 10,
      paused: { cause: 'manual', reason: 'look closer' },
    });
    expect((await act(id, 'resume')).body).toMatchObject({ status: 'active' });
    const early = await act(id, 'advance');
    expect(early.status).toBe(409);
    expect(early.body).toMatchObject({ code: 'guard_refused', command: 'advance', state: 'Active' });
    expect(early.body['guards']).toContainEqual(expect.objectContaining({ name: 'minBakeElapsed', met: false }));
    expect((await act(id, 'advance', { override: true })).body).toMatchObject({ code: 'guard_refused' });
    const next = await act(id, 'advance', { override: true, reason: 'urgent' });
    expect(next.body).toMatchObject({ stage: 1, percent_now: 100, clock_ms: expect.any(Number) });
    const done = await act(id, 'advance', { override: true, reason: 'urgent' });
    expect(done.body).toMatchObject({ status: 'completed' });
    expect((await t.call('GET', `${OWN}/models/walk`)).body).toMatchObject({
      stable_version: '1.0.0',
      latest_version: '1.0.0',
    });
  });

  it('paused by failing downloads, sets them aside when a person resumes it', async () => {
    await t.published('cdn', '1.0.0');
    const onDownloads = {
      metric: 'download_failure_rate' as const,
      op: '>' as const,
      value: 0.2,
      min_devices: 1,
      min_predictions: 1,
    };
    const body = { version: '1.0.0', stages: [plainStage(100)], start: true, policy: { rules: [onDownloads] } };
    const rolloutId = Number((await t.call('POST', `${OWN}/models/cdn/rollouts`, { body })).body['id']);
    await t.settle();
    const device = await t.call('POST', `${SDK}/devices/register`, {
      body: { device_identifier: 'far' },
      as: 'device',
    });
    const reports = `${OWN}/devices/${textOf(device.body, 'id')}/reports`;
    const failing = async (seq: number, failed: number) => {
      const body = {
        model: 'cdn',
        version: '1.0.0',
        session: 'one',
        seq,
        acked: seq - 1,
        predictions: { ok: 0, failed: 0 },
        downloads: { started: 1 + failed, ok: 1, failed },
      };
      expect((await t.call('POST', reports, { body, as: 'device' })).status).toBe(200);
    };
    await failing(1, 3);
    const { commands } = t.api.deps;
    const none = { devices: 0, predictions: 0, errors: 0, downloads: 0, download_failures: 0, latency: {} };
    const rollout = rolloutMachine.fold(await commands.log.readStream(`rollout-${rolloutId}`));
    const counters = { canary: { ...none, downloads: 4, download_failures: 3 }, control: none };
    const look = lookAt(rollout, counters, Date.now())!;
    expect(look).toMatchObject({ verdict: 'INCONCLUSIVE', rule: { numerator: 3, denominator: 4 } });
    expect(await judgeRollout(commands, systemCaller(), { rolloutId, judgement: look })).toMatchObject({
      outcome: 'appended',
    });
    const cause = { cause: 'inconclusive' as const, reason: 'stage 0 is inconclusive' };
    await pauseRollout(commands, systemCaller(), { rolloutId, ...cause });
    await failing(2, 9);
    expect(typesOf(await act(rolloutId, 'resume', { reason: 'the CDN is mended' }))).toEqual(['RolloutResumed']);
    expect((await commands.log.readStream(`rollout-${rolloutId}`)).at(-1)?.fact.data).toEqual({
      reason: 'the CDN is mended',
      set_aside: { downloads: 10, download_failures: 9 },
    });
    await act(rolloutId, 'pause', { reason: 'lunch' });
    await act(rolloutId, 'resume');
    expect((await commands.log.readStream(`rollout-${rolloutId}`)).at(-1)?.fact.data).toEqual({});
  });

  it('obeys If-Match, except where it is a stop', async () => {
    await t.published('matched', '1.0.0');
    const id = await started('matched', '1.0.0', 10, 100);
    const stale = { headers: { 'if-match': '"1"' } };
    const answer = await act(id, 'advance', { override: true, reason: 'r' }, stale);
    expect(answer.body).toMatchObject({ status: 412, code: 'precondition_failed', current_etag: '"3"' });
    expect(
      (await act(id, 'advance', { override: true, reason: 'r' }, { headers: { 'if-match': '17' } })).body,
    ).toMatchObject({ code: 'invalid_input' });
    expect((await act(id, 'pause', { reason: 'stop' }, { ...stale, idempotent: false })).status).toBe(200);
    const repeated = await act(id, 'pause', { reason: 'stop' }, { ...stale, idempotent: false });
    expect([repeated.status, repeated.body['events']]).toEqual([200, []]);
  });

  it('is alone: a second start of the model is refused, also when they race', async () => {
    await t.published('raced', '1.0.0', '1.1.0');
    const ids = await Promise.all(
      ['1.0.0', '1.1.0'].map(async (version) =>
        Number(
          (await t.call('POST', `${OWN}/models/raced/rollouts`, { body: { version, stages: [plainStage(100)] } })).body[
            'id'
          ],
        ),
      ),
    );
    const answers = await Promise.all(ids.map((id) => act(id, 'start')));
    expect(answers.map((a) => a.status).sort()).toEqual([200, 409]);
    const second = answers.find((a) => a.status === 409)!.body;
    expect(second['guards']).toContainEqual(expect.objectContaining({ name: 'alone', met: false }));
    const first = Number(answers.find((a) => a.status === 200)!.body['id']);
    expect(second).toMatchObject({ code: 'conflict', rollout_id: first, detail: expect.stringContaining(`${first}`) });
    const body = { version: '1.1.0', stages: [plainStage(100)], start: true };
    const made = await t.call('POST', `${OWN}/models/raced/rollouts`, { body });
    expect(made.body).toMatchObject({ status: 409, code: 'conflict', rollout_id: first });
    const other = answers[0]!.status === 200 ? '1.1.0' : '1.0.0';
    const call = { version: other, rollout_percentage: 10, start_immediately: true };
    const sdk = await t.call('POST', `${SDK}/models/raced/rollouts`, { body: call });
    expect(sdk.body).toMatchObject({ status: 409, code: 'conflict', rollout_id: first });
  });

  it('of a pre-release needs a cohort, which it keeps: it never becomes stable, on either API', async () => {
    await t.published('pre', '1.0.0-rc.1');
    const body = { version: '1.0.0-rc.1', stages: [plainStage(100)], start: true };
    const everyone = await t.call('POST', `${OWN}/models/pre/rollouts`, { body });
    expect(everyone.body).toMatchObject({ status: 409, code: 'guard_refused' });
    expect(everyone.body['guards']).toContainEqual(expect.objectContaining({ name: 'cohort', met: false }));
    const call = { version: '1.0.0-rc.1', rollout_percentage: 100, target_percentage: 100, start_immediately: true };
    const sdk = await t.call('POST', `${SDK}/models/pre/rollouts`, { body: call });
    expect(sdk.body).toMatchObject({ status: 409, code: 'guard_refused' });
    const targeted = await t.call('POST', `${OWN}/models/pre/rollouts`, {
      body: { ...body, cohort: { platform: ['ios'] } },
    });
    expect(targeted.status).toBe(201);
    const step = { override: true, reason: 'urgent' };
    expect((await act(Number(targeted.body['id']), 'advance', step)).status).toBe(409);
    expect((await t.call('GET', `${OWN}/models/pre`)).body).toMatchObject({ stable_version: null });
  });
});

describe('the end of a first release', () => {
  it('says that no version is stable any more, beforehand and afterwards: abort, rollback', async () => {
    for (const verb of ['abort', 'rollback']) {
      const name = `first-${verb}`;
      await t.published(name, '1.0.0');
      const id = await makeStable(name, '1.0.0');
      const before = await t.call('POST', `${OWN}/rollouts/${id}/${verb}?dry_run=true`, { body: { reason: 'r' } });
      expect(before.body['would_append']).toContainEqual(
        expect.objectContaining({ type: 'StableVersionRestored', data: expect.objectContaining({ version: null }) }),
      );
      expect((await act(id, verb, { reason: 'r' })).body).toMatchObject({ stable_version: null });
      expect((await t.call('GET', `${OWN}/models/${name}`)).body).toMatchObject({ stable_version: null });
    }
  });

  it('while it still rolls out too, and names the version that stays where there is one', async () => {
    await t.published('first-live', '1.0.0');
    const first = await started('first-live', '1.0.0', 10, 100);
    expect((await act(first, 'rollback', { reason: 'r' })).body).toMatchObject({ stable_version: null });
    await t.published('second-live', '1.0.0', '1.1.0');
    await makeStable('second-live', '1.0.0');
    const second = await started('second-live', '1.1.0', 10, 100);
    expect((await act(second, 'abort', { reason: 'r' })).body).toMatchObject({ stable_version: '1.0.0' });
    const third = await started('second-live', '1.1.0', 10, 100);
    const byModel = await t.call('POST', `${OWN}/models/second-live/rollback`, { body: { reason: 'r' } });
    expect(byModel.body).toMatchObject({ id: third, target: '1.0.0', stable_version: '1.0.0' });
  });
});

describe('the kill switch', () => {
  it('marks the bad version, puts the good one back and keeps the story', async () => {
    const modelId = await t.published('killed', '1.0.0', '1.1.0');
    await makeStable('killed', '1.0.0');
    const id = await started('killed', '1.1.0', 25, 100);
    const answer = await t.call('POST', `${OWN}/models/killed/rollback`, {
      body: { reason: 'errors on iOS' },
      idempotent: false,
      as: 'monitor',
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      rollout_id: id,
      version: '1.1.0',
      target: '1.0.0',
      status: 'rolled_back',
      percent_now: 0,
    });
    expect(typesOf(answer)).toEqual(
      expect.arrayContaining(['RolloutRolledBack', 'VersionRolledBack', 'StableVersionRestored']),
    );
    const version = await t.call('GET', `${OWN}/models/${modelId}/versions/1.1.0`);
    expect(version.body).toMatchObject({
      lifecycle_state: 'Rollback',
      rolled_back: { rollout_id: id, reason: 'errors on iOS' },
    });
    expect((await act(id, 'root-cause', { text: 'a bad label' })).body).toMatchObject({
      root_causes: [{ text: 'a bad label' }],
    });
    const draft = await t.call('GET', `${OWN}/rollouts/${id}/post-mortem`);
    expect(draft.body).toMatchObject({ outcome: 'rolled_back', target: '1.0.0', root_cause: { text: 'a bad label' } });
    const text = await t.call('GET', `${OWN}/rollouts/${id}/post-mortem`, { headers: { accept: 'text/markdown' } });
    expect(textOf(text.body, 'text')).toContain('errors on iOS');
    await t.settle();
    const lineage = await t.call('GET', `${OWN}/models/killed/lineage`);
    expect(lineage.body).toMatchObject({
      nodes: [
        { version: '1.1.0', lifecycle_state: 'Rollback', rollouts: [{ id, status: 'rolled_back' }] },
        { version: '1.0.0' },
      ],
    });
    const operation = await t.call('GET', `${OWN}/operations/rollback:${id}`);
    expect(operation.body).toMatchObject({ kind: 'rollback', state: 'succeeded' });
  });
});

describe('publishing', () => {
  it('is long work: 202 with an operation, which a repeat and a second request find again', async () => {
    await t.call('POST', `${OWN}/models`, { body: { name: 'pub', framework: 'f', use_case: 'u' } });
    const bytes = Buffer.from(weights());
    const sha256 = await t.upload(bytes);
    const artifact = { files: [{ format: 'safetensors', sha256 }] };
    const attached = await t.call('POST', `${OWN}/models/pub/versions/1.0.0/artifact`, { body: artifact });
    expect(attached.body).toMatchObject({ lifecycle_state: 'Trained', files: [{ sha256, bytes: bytes.length }] });
    const asked = await t.call('POST', `${OWN}/models/pub/versions/1.0.0/publish`, { body: {} });
    expect(asked.status).toBe(202);
    expect(asked.body).toMatchObject({ kind: 'publish', state: 'running', error: null });
    expect(asked.headers.get('location')).toBe(`${OWN}/operations/${encodeURIComponent(textOf(asked.body, 'id'))}`);
    const path = asked.headers.get('location')!;
    expect((await t.call('GET', path)).body).toMatchObject({ id: asked.body['id'], state: 'running' });
    const second = await t.call('POST', `${OWN}/models/pub/versions/1.0.0/publish`, {
      body: {},
      headers: { prefer: 'wait=1' },
    });
    expect([second.status, second.body['id'], second.body['events']]).toEqual([202, asked.body['id'], []]);
    expect((await t.call('GET', `${OWN}/models/pub/versions/1.0.0`)).body).toMatchObject({
      state: 'Trained.publishing',
      publication: { n: 1, state: 'running' },
    });
  });

  it('is ended by a person, without a key for repeats, and may be asked for again', async () => {
    const version = `${OWN}/models/pub/versions/1.0.0`;
    const cancel = () =>
      t.call('POST', `${version}/publish/cancel`, { body: { reason: 'wrong weights' }, as: 'monitor' });
    const ended = await cancel();
    expect(ended.body).toMatchObject({
      state: 'Trained.ready',
      publication: { n: 1, state: 'refused', code: 'cancelled', reason: 'wrong weights' },
      events: [{ type: 'PublishRefused' }],
    });
    expect((await cancel()).body).toMatchObject({ events: [] });
    const operation = await t.call('GET', `${OWN}/operations/publish:${textOf(ended.body, 'model_id')}@1.0.0:1`);
    expect(operation.body).toMatchObject({
      state: 'cancelled',
      error: { code: 'cancelled', detail: 'Publishing was ended by a person: wrong weights.' },
    });
    const again = await t.call('POST', `${version}/publish`, { body: {} });
    expect([again.status, again.body['state']]).toEqual([202, 'running']);
  });
});

describe('the record', () => {
  it('pages through the log at one position, and shows an event, a stream and its replay', async () => {
    await t.settle();
    const first = await t.call('GET', `${OWN}/events?limit=2&kind=rollout`);
    expect(first.headers.get('link')).toMatch(/rel="next"/);
    const second = await t.call(
      'GET',
      `${OWN}/events?limit=2&kind=rollout&cursor=${textOf(first.body, 'next_cursor')}`,
    );
    expect(second.body['position']).toBe(first.body['position']);
    const [event] = second.body['items'] as { id: string; stream: string; position: number }[];
    expect((await t.call('GET', `${OWN}/events/${event!.id}`)).body).toMatchObject({
      id: event!.id,
      position: event!.position,
    });
    const stream = await t.call('GET', `${OWN}/streams/${event!.stream}`);
    expect(stream.body).toMatchObject({ machine: 'rollout@1', divergence: null, next_after: null });
    const pages: unknown[] = [];
    for (let after: number | null = 0; after !== null;) {
      const page = await t.call('GET', `${OWN}/streams/${event!.stream}?limit=2&after=${after}`);
      expect(page.body).toMatchObject({ state: stream.body['state'], stream_version: stream.body['stream_version'] });
      pages.push(...(page.body['events'] as unknown[]));
      after = page.body['next_after'] as number | null;
    }
    expect(pages.length).toBeGreaterThan(2);
    expect(pages).toEqual(stream.body['events']);
    const replayed = await t.call('GET', `${OWN}/audit/replay?stream=${event!.stream}&to=version:2`);
    expect(replayed.body).toMatchObject({
      items: [{ state_before: 'None', state_after: 'Pending' }, { state_before: 'Pending' }],
    });
    expect((await t.call('GET', `${OWN}/rollouts?live=true`)).status).toBe(200);
    expect((await t.call('GET', `${OWN}/training`)).body).toMatchObject({ items: [] });
    expect((await t.call('GET', `${OWN}/models/killed/versions?lifecycle_state=Rollback`)).body).toMatchObject({
      items: [{ version: '1.1.0' }],
    });
    expect((await t.call('GET', `${OWN}/keys`)).status).toBe(200);
  });

  it('passes its own audit, told line by line', async () => {
    const answer = await t.call('POST', `${OWN}/audit/verify`, { body: {}, as: 'instance' });
    const lines = textOf(answer.body, 'text')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Body);
    expect(lines.at(-1)).toMatchObject({ result: { passed: true, findings: [] } });
  });

  it('is audited against a checkpoint that somebody kept, and refuses what is none', async () => {
    const kept = await t.call('GET', `${OWN}/audit/checkpoint`, { as: 'instance' });
    expect(textOf(kept.body, 'text')).toMatch(/^edgeml-lifecycle\/[0-9a-f-]{36}\/log\/1\n\d+\n[A-Za-z0-9+/]{43}=\n$/);
    const verifying = async (text: string) => {
      const body = { fast: true, checkpoints: [{ name: 'kept.txt', text }] };
      return t.call('POST', `${OWN}/audit/verify`, { body, as: 'instance' });
    };
    const resultOf = (answer: Answer) => JSON.parse(textOf(answer.body, 'text').trim().split('\n').at(-1)!) as Body;
    expect(resultOf(await verifying(textOf(kept.body, 'text')))).toMatchObject({ result: { passed: true } });
    const beyond = textOf(kept.body, 'text').replace(/\n\d+\n/, '\n999999\n');
    expect(resultOf(await verifying(beyond))).toMatchObject({
      result: { passed: false, findings: [{ step: 'anchor', code: 'log_shorter' }] },
    });
    const refused = await verifying('no checkpoint');
    expect(refused).toMatchObject({
      status: 422,
      body: { code: 'invalid_input', errors: [{ pointer: '/checkpoints/0/text' }] },
    });
    expect(refused.body['detail']).toContain('expected three lines: origin, size, base64');
    expect((await t.call('GET', `${OWN}/audit/checkpoint`, { as: 'auditor' })).status).toBe(403);
  });
});
