/** What a log line says of an error, under whatever name and through whichever logger it comes. */
import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { LifecycleError } from './domain/errors.ts';
import { createLogger } from './logger.ts';

type Line = Readonly<Record<string, unknown>>;

function logger() {
  const lines: Line[] = [];
  const log = createLogger('test', 'info', { write: (text: string) => void lines.push(JSON.parse(text) as Line) });
  return { log, lines };
}

describe('an error in the log', () => {
  it.each(['err', 'error', 'reason', 'why'])('has message and stack under the name %s', (name) => {
    const { log, lines } = logger();
    log.error({ [name]: new RangeError('Maximum call stack size exceeded') }, 'failed');
    expect(lines[0]).toMatchObject({
      name: 'test',
      msg: 'failed',
      [name]: {
        type: 'RangeError',
        message: 'Maximum call stack size exceeded',
        stack: expect.stringContaining('logger.unit.test.ts') as string,
      },
    });
  });

  it('has its causes, those of a circle too, and what Postgres or a code adds', () => {
    const { log, lines } = logger();
    const root = Object.assign(new Error('duplicate key'), { code: '23505', constraint: 'events_pkey', client: {} });
    root.cause = new LifecycleError('unavailable', 'outer', {}, { cause: root });
    log.warn({ error: new Error('append failed', { cause: root }) }, 'x');
    expect(lines[0]).toMatchObject({
      error: {
        message: 'append failed',
        cause: {
          message: 'duplicate key',
          code: '23505',
          constraint: 'events_pkey',
          stack: expect.any(String) as string,
          cause: { type: 'LifecycleError', code: 'unavailable', message: 'outer' },
        },
      },
    });
    expect(JSON.stringify(lines[0])).not.toContain('"client"');
  });

  it('has every error of an AggregateError, as a refused connection throws it', () => {
    const { log, lines } = logger();
    const all = new AggregateError([new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')], '');
    log.error({ err: all }, 'x');
    expect(lines[0]).toMatchObject({
      err: { type: 'AggregateError', errors: [{ message: 'ECONNREFUSED ::1' }, { message: 'ECONNREFUSED 127.0.0.1' }] },
    });
  });

  it('is told where no error was thrown, or one that cannot be read', () => {
    const { log, lines } = logger();
    for (const error of ['a text', 7, null, undefined, { code: 3 }]) log.error({ error }, 'x');
    const trap = new Error('x');
    Object.defineProperty(trap, 'message', {
      get: () => {
        throw new Error('no');
      },
    });
    log.error({ error: trap }, 'x');
    expect(lines.map((line) => line['error'])).toEqual([
      'a text',
      7,
      null,
      'undefined',
      { code: 3 },
      { type: 'object', message: 'an error that cannot be read' },
    ]);
  });

  it('alone as the first argument, and through the child loggers of the HTTP framework', async () => {
    const { log, lines } = logger();
    log.error(new TypeError('alone'));
    const app = fastify({ loggerInstance: log });
    app.get('/', (request) => {
      request.log.error({ error: new Error('in a route', { cause: new Error('below') }) }, 'x');
      return {};
    });
    await app.inject('/');
    await app.close();
    expect(lines.filter((line) => line['level'] === 50)).toMatchObject([
      { err: { type: 'TypeError', message: 'alone' }, msg: 'alone' },
      { error: { message: 'in a route', cause: { message: 'below' } } },
    ]);
  });
});
