/** Waiting commands: how the thing stands is always the exit code, whatever happens to the server or to the one who waits. */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRecorder, type Recorder, type Seen } from './recorder.fixture.ts';

let recorder: Recorder;
beforeAll(async () => void (recorder = await startRecorder()));
afterAll(() => recorder.close());
beforeEach(() => {
  recorder.stand({});
  recorder.answer(undefined);
});

const ROLLOUT = ['rollout', 'status', '7', '--wait'];
const WATCH = ['train', 'watch', 'r'];
const PUBLISH = ['version', 'publish', 'm', '1.0.0'];
const problem = (response: ServerResponse, status: number, more: Record<string, unknown> = {}) => {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code: 'x', detail: 'because', status, ...more }));
  return true;
};
const operation = (state: string, kind: string) => (seen: Seen, response: ServerResponse) => {
  if (!seen.path.includes('/operations/')) return false;
  response.end(JSON.stringify({ id: 'o', kind, state, error: { code: 'x', detail: 'because', status: 422 } }));
  return true;
};

describe('the exit code of a rollout', () => {
  it.each([
    ['completed', 0],
    ['rolled_back', 3],
    ['aborted', 3],
    ['paused', 4],
    ['held', 4],
  ])('that is %s is %i, for start, get and status with --wait', async (status, code) => {
    recorder.stand({ status });
    for (const line of [ROLLOUT, ['rollout', 'get', '7', '--wait'], ['rollout', 'start', 'm', '1.0.0', '--wait']])
      expect((await recorder.run(line)).code, line.join(' ')).toBe(code);
    expect((await recorder.run(['rollout', 'status', '7'])).code).toBe(code);
  });
});

describe('the exit code of a run', () => {
  it.each([
    ['succeeded', { status: 'succeeded' }, 0],
    ['failed', { status: 'aborted' }, 3],
    ['cancelled', { status: 'aborted' }, 3],
    ['running', { status: 'paused', ended: null }, 4],
  ])('whose operation is %s', async (state, stands, code) => {
    recorder.stand(stands);
    recorder.answer(operation(state, 'training'));
    for (const line of [WATCH, ['train', 'start', 'm', '--new-version', '1.1.0']])
      expect((await recorder.run(line)).code, line.join(' ')).toBe(code);
  });
});

describe('the exit code of a publication', () => {
  it.each([
    ['succeeded', 0],
    ['failed', 6],
    ['cancelled', 3],
  ])('that %s is %i', async (state, code) => {
    recorder.answer(operation(state, 'publish'));
    expect((await recorder.run(PUBLISH)).code).toBe(code);
  });
});

describe('the exit code of a verify', () => {
  it('is 3 where something is wrong', async () => {
    recorder.answer((_, response) => {
      const result = {
        passed: false,
        findings: [{ step: 'chain', detail: 'broken' }],
        head: null,
        root: null,
        steps: [],
      };
      response.end(JSON.stringify({ result }));
      return true;
    });
    expect((await recorder.run(['audit', 'verify'])).code).toBe(3);
  });
});

describe('an answer that is a refusal', () => {
  it.each([
    [400, {}, 6],
    [401, {}, 7],
    [403, {}, 7],
    [404, {}, 6],
    [409, { guards: [] }, 6],
    [412, {}, 6],
    [422, {}, 6],
    [500, {}, 1],
  ] as const)('%i %j is %i', async (status, more, code) => {
    recorder.answer((_, response) => problem(response, status, more));
    for (const line of [ROLLOUT, WATCH, PUBLISH, ['whoami']]) expect((await recorder.run(line)).code).toBe(code);
  });
});

describe('a server that goes away', { timeout: 60_000 }, () => {
  /** Answers `first` times that it goes on, breaks `broken` connections, then the thing is over. */
  const shaky = (first: number, broken: number) => {
    let asked = 0;
    recorder.stand({ status: 'completed' });
    recorder.answer((_, response) => {
      asked += 1;
      if (asked <= first) {
        const active = { status: 'active', percent_now: 50, stage: 0, stages: [{}], version: '1.0.0', id: 7 };
        response.end(JSON.stringify(active));
      } else if (asked <= first + broken) response.socket?.destroy();
      else return false;
      return true;
    });
  };

  it('is asked again until --timeout, and told about where there is none', async () => {
    shaky(1, 4); // more than the attempts of one request
    expect((await recorder.run([...ROLLOUT, '--timeout', '50s'])).code).toBe(0);
    shaky(1, Infinity);
    const without = await recorder.run(ROLLOUT);
    expect({ code: without.code, err: without.err }).toMatchObject({
      code: 8,
      err: expect.stringMatching(/could not be reached/) as string,
    });
    shaky(1, Infinity);
    const passed = await recorder.run([...ROLLOUT, '--timeout', '2s']);
    expect(passed.code).toBe(5);
    expect(passed.err).toMatch(/rollout 7 is active at 50 %.*edgeml rollout status 7 --wait` comes back/);
  });

  it('and never answered is unreachable, not a time that has passed', async () => {
    expect((await recorder.run([...ROLLOUT, '--timeout', '1h', '--url', 'http://127.0.0.1:9'])).code).toBe(8);
  });
});

describe('Ctrl-C', () => {
  it.each([
    [ROLLOUT, /rollout 7 is active.*`edgeml rollout status 7 --wait` comes back/s],
    [WATCH, /run r is active.*`edgeml train watch r` comes back/s],
    [['train', 'start', 'm', '--new-version', '1.1.0'], /`edgeml train watch r` comes back/],
    [PUBLISH, /`edgeml version publish m 1.0.0` comes back/],
    [['events', 'tail'], /`edgeml events tail --from 11` comes back/],
  ])('leaves %j with 130 and says how to come back', async (line, comesBack) => {
    recorder.stand({ status: 'active', state: 'running', ended: null });
    let polls = 0;
    recorder.answer(() => {
      if (++polls === 4) process.emit('SIGINT');
      return false;
    });
    let code: number | undefined;
    const exit = vi.spyOn(process, 'exit').mockImplementation((with_) => {
      code = Number(with_);
      recorder.stand({ status: 'completed', state: 'succeeded', ended: {} });
      recorder.answer((_, response) => problem(response, 403));
      return undefined as never;
    });
    try {
      const ran = await recorder.run([...line, '--timeout', '20s']);
      expect(code).toBe(130);
      expect(ran.err).toMatch(comesBack);
    } finally {
      exit.mockRestore();
    }
  });
});

describe('what cannot be meant', () => {
  const START = ['rollout', 'start', 'm', '1.0.0'];
  it.each<[string[], RegExp]>([
    ...['', '  ', 'abc', '-5%', '101%', '5', '1.5', '%', '1e-2', '5%%', 'Infinity'].map((v): [string[], RegExp] => [
      [...START, '--max-error-rate', v],
      /--max-error-rate/,
    ]),
    ...['1', '100%', '1.0', '100.0 %'].map((v): [string[], RegExp] => [
      [...START, '--max-error-rate', v],
      /no rate is ever above that.*1% or 0\.01/s,
    ]),
    ...['10,,25', 'abc', '10,', ',', '0', '101', '10;25', '1e1', '-1'].map((v): [string[], RegExp] => [
      [...START, '--steps', v],
      /--steps/,
    ]),
    ...['1.5', '1e9', '0x10', '+5', ' 5', '0', '-1', '99999999999999999'].map((v): [string[], RegExp] => [
      ['train', 'start', 'm', '--new-version', '1.1.0', '--rounds', v],
      /--rounds/,
    ]),
    ...['5', '5 s', '-5s', 's', '5w', '366d', '1e2s'].map((v): [string[], RegExp] => [
      [...START, '--steps', '50', '--bake', v],
      /--bake/,
    ]),
    [[...START, '--min-devices', '5'], /--min-devices does nothing without --max-error-rate/],
    [[...START, '--min-predictions', '5'], /does nothing without --max-error-rate/],
    [[...START, '--bake', '5s'], /--bake does nothing without --steps/],
    [[...START, '--ramp', '5s'], /--ramp does nothing without --steps/],
    [[...START, '--pending', '--wait'], /contradict/],
    [['rollout', 'pause', '7', '--reason', 'x', '--override'], /unknown option/],
    [['rollout', 'advance', '7', '--override'], /--override does nothing without --reason/],
    [['rollout', 'get', '0'], /command-argument/],
    [['model', 'get', '..'], /names nothing/],
    [['train', 'abort', '..', '--reason', 'x'], /names nothing/],
    [['key', 'create', 'n', '--role', 'admin,,viewer'], /comma list/],
    [['events', 'list', '--limit', '501'], /from 1 to 500/],
    [['train', 'start', 'm', '--new-version', '1.1.0', '--init', '/nowhere'], /cannot be read/],
    [
      ['model', 'create', 'm', '--framework', 'f', '--use-case', 'u', '--hidden-dim', '3'],
      /does nothing without --architecture/,
    ],
    [['model', 'create', 'm', '--framework', 'f', '--use-case', 'u', '--architecture', 'mlp'], /needs --input-dim/],
  ])('%j is refused, and nothing is sent', async (line, why) => {
    const ran = await recorder.run(line);
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 2, err: expect.stringMatching(why) as string });
    expect(ran.seen).toEqual([]);
  });
});

describe('what a verify tells while it reads', () => {
  const VERIFY = ['audit', 'verify', '-o', 'name'];
  /** Two phases of two thousand lines each, cut where no line ends. */
  const answerLines = () =>
    recorder.answer((_, response) => {
      const lines: string[] = [];
      for (const phase of ['log', 'read_model'])
        for (let done = 1; done <= 2000; done += 1)
          lines.push(`${JSON.stringify({ progress: { phase, done, total: 2000 } })}\n`);
      const all = Buffer.from(lines.join('') + JSON.stringify({ result: { passed: true, findings: [] } }));
      for (let at = 0; at < all.length; at += 777) response.write(all.subarray(at, at + 777));
      response.end();
      return true;
    });

  it('is a bar that is drawn over itself on a terminal, and the result alone on stdout', async () => {
    answerLines();
    const ran = await recorder.run(VERIFY, { terminal: true });
    expect(ran.out).toBe('passed\n');
    expect(ran.err).toMatch(/audit verify .* 2000\/2000 facts, read_model/);
    expect(ran.err.trim().split('\n')).toHaveLength(1);
  });

  it('is a line for each phase, and then one in some seconds, off a terminal', async () => {
    answerLines();
    const ran = await recorder.run(VERIFY);
    expect(ran.out).toBe('passed\n');
    const lines = ran.err.trim().split('\n');
    expect(lines[0]).toBe('audit verify: log 1/2000 facts');
    expect(lines).toContain('audit verify: read_model 1/2000 facts');
    expect(lines.length).toBeLessThan(20);
  });
});
