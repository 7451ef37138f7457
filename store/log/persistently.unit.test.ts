/** What is tried again, for how long, and what is said at the end. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { persistently } from './persistently.ts';

const fault = (code: string, constraint?: string) => Object.assign(new Error(`fault ${code}`), { code, constraint });
const lost = new Error('Connection terminated unexpectedly');

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Runs to the end under fake time; the outcome and how often it was tried. */
async function run(attempt: (n: number, sent: () => void) => Promise<string>) {
  let n = 0;
  const outcome = persistently('a test', (sent) => attempt((n += 1), sent)).then(
    (value) => ({ value }),
    (error: Error & { code?: string }) => ({ name: error.name, code: error.code, message: error.message }),
  );
  await vi.advanceTimersByTimeAsync(30_000);
  return { ...(await outcome), n };
}

describe('persistently', () => {
  it.each(['40P01', '55P03', '57014', '53300', '08006', '57P01', 'ECONNRESET'])(
    'tries again after %s',
    async (code) => {
      expect(await run((n) => (n < 3 ? Promise.reject(fault(code)) : Promise.resolve('done')))).toEqual({
        value: 'done',
        n: 3,
      });
    },
  );

  it('tries again where the same command raced on other streams, and only there', async () => {
    const raced = await run((n) =>
      n < 2 ? Promise.reject(fault('23505', 'events_command')) : Promise.resolve('done'),
    );
    expect(raced).toEqual({ value: 'done', n: 2 });
    const reused = await run(() => Promise.reject(fault('23505', 'events_event_id_key')));
    expect(reused).toMatchObject({ code: '23505', n: 1 });
  });

  it('passes on at once what a second try cannot mend', async () => {
    expect(await run(() => Promise.reject(fault('22023')))).toMatchObject({ code: '22023', n: 1 });
    expect(await run(() => Promise.reject(new RangeError('a bug')))).toMatchObject({ name: 'RangeError', n: 1 });
  });

  it('says unavailable where nothing was ever sent, and where the last fault is certain', async () => {
    for (const why of [lost, fault('ECONNREFUSED'), fault('55P03')]) {
      const end = await run((_, sent) => {
        if (why !== lost && 'code' in why && why.code === '55P03') sent();
        return Promise.reject(why);
      });
      expect(end).toMatchObject({ name: 'LifecycleError', code: 'unavailable' });
      expect(end.n).toBeGreaterThan(5);
    }
  });

  it('is fatal where an answer was lost and no later try could tell, whatever the later faults were', async () => {
    const end = await run((n, sent) => {
      if (n === 2) sent();
      return Promise.reject(n === 2 ? lost : fault('ECONNREFUSED'));
    });
    expect(end).toMatchObject({ name: 'Fatal', message: expect.stringContaining('unknown; reload') });
  });

  it('answers although an attempt never does, and says whether anything was sent', async () => {
    const never = new Promise<string>(() => undefined);
    const sent = await run((_, send) => {
      send();
      return never;
    });
    expect(sent).toMatchObject({ name: 'Fatal', n: 1 });
    expect(await run(() => never)).toMatchObject({ name: 'LifecycleError', code: 'unavailable', n: 1 });
  });

  it('lets an attempt that was given up send nothing later', async () => {
    let late: unknown;
    const end = await run(async (_, send) => {
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      try {
        send();
      } catch (error) {
        late = error;
      }
      return 'too late';
    });
    expect(end).toMatchObject({ code: 'unavailable' });
    expect(late).toBeInstanceOf(Error);
  });

  it('is not fatal where a later try answers', async () => {
    const end = await run((n, sent) => {
      sent();
      return n === 1 ? Promise.reject(lost) : Promise.resolve('duplicate');
    });
    expect(end).toEqual({ value: 'duplicate', n: 2 });
  });
});
