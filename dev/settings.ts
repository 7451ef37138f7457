/** What the embedded stack is told from outside. */
import { join, resolve } from 'node:path';
import { processEnvironment, variable, type Environment } from '../environment.ts';
import { CHECKOUT } from './reach.ts';

export interface DevSettings {
  readonly home: string;
  /** The cache of downloaded servers; may be shared between checkouts. */
  readonly tools: string;
  /** Rung 1 of the ladder, by tool. */
  readonly binaries: Readonly<Record<'temporal' | 'nats' | 'temporalTestServer' | 'chromium', string | undefined>>;
  readonly path: string;
  /** Parts that run elsewhere: a variable that is set switches our own off. */
  readonly external: Readonly<Record<string, string>>;
}

/** Variables that name a part which runs elsewhere, with those that go with each. */
const EXTERNAL = {
  DATABASE_URL: ['DATABASE_PASSWORD', 'DATABASE_MIGRATE_URL', 'DATABASE_MIGRATE_PASSWORD'],
  NATS_URL: [],
  TEMPORAL_ADDRESS: ['TEMPORAL_NAMESPACE', 'TEMPORAL_TASK_QUEUE', 'TEMPORAL_API_KEY', 'TEMPORAL_TLS'],
} as const;

/** Never throws: what is missing has a default, what is wrong is refused by the part that uses it. */
export function readDevSettings(env: Environment = processEnvironment()): DevSettings {
  const external: Record<string, string> = {};
  for (const [name, more] of Object.entries(EXTERNAL)) {
    if (variable(env, name) === undefined) continue;
    for (const each of [name, ...more]) {
      // As it is: a password may begin or end with a space.
      if (variable(env, each) !== undefined) external[each] = env[each] ?? '';
    }
  }
  return {
    home: resolve(variable(env, 'EDGEML_HOME') ?? '.edgeml'),
    tools: resolve(variable(env, 'EDGEML_TOOLS') ?? join(CHECKOUT, '.edgeml', 'tools')),
    binaries: {
      temporal: variable(env, 'TEMPORAL_CLI_PATH'),
      nats: variable(env, 'NATS_SERVER_PATH'),
      temporalTestServer: variable(env, 'TEMPORAL_TEST_SERVER_PATH'),
      chromium: variable(env, 'CHROMIUM_PATH'),
    },
    path: env['PATH'] ?? '',
    external,
  };
}
