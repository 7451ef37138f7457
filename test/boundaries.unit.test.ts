/** The floors of the house refuse each import that goes up. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));

/** A small house: each file with what it imports. The comment says which rule must refuse it; none: it is allowed. */
const HOUSE: Readonly<Record<string, string>> = {
  'domain/errors.ts': ``,
  'domain/upwards.ts': `import '../machines/fine.ts';`, // floor-domain
  'domain/events/fine.ts': `import '../errors.ts';`,
  'domain/rollout/neighbour.ts': `import '../learning/fine.ts';`, // ground
  'domain/learning/fine.ts': `import '../events/fine.ts';`,
  'machines/fine.ts': `import '../domain/errors.ts';`,
  'store/fine.ts': `import 'pg'; import '../machines/fine.ts';`,
  'store/circleA.ts': `import './circleB.ts'; export const a = 1;`, // no-circles
  'store/circleB.ts': `import './circleA.ts'; export const b = 1;`, // a circle is told once
  'store/config.ts': `import '../config.ts';`, // floor-store, only-processes-read-config
  'store/dev.ts': `import '../dev/stack.ts';`, // nothing-imports-dev
  'store/check.ts': `import './fine.unit.test.ts';`, // nothing-imports-checks
  'store/fine.unit.test.ts': `import '../api/open.ts'; import '../dev/stack.ts'; import 'pg';`,
  'commands/pg.ts': `import 'pg';`, // library-pg
  'commands/lost.ts': `import './nowhere.ts';`, // resolvable
  'activities/fine.ts': `import '../commands/pg.ts'; export interface Activities { a: 1 }`,
  'workflows/types.ts': `import type { Activities } from '../activities/fine.ts'; export type A = Activities;`,
  'workflows/values.ts': `import '../activities/fine.ts';`, // floor-workflows
  'workflows/store.ts': `import '../store/fine.ts';`, // workflows-see-types-of-activities-only
  'relay/sideways.ts': `import '../projections/fine.ts';`, // floor-relay
  'projections/fine.ts': `import '../store/fine.ts';`,
  'audit/fine.ts': `import '../projections/fine.ts';`,
  'wire/fine.ts': `import '../domain/errors.ts';`,
  'wire/store.ts': `import '../store/fine.ts';`, // wire-is-pure
  'api/open.ts': `import '../audit/fine.ts'; import '../wire/fine.ts';`,
  'api/server.ts': `import './lifecycle/fine.ts'; import './edgeml/fine.ts';`,
  'api/lifecycle/fine.ts': `import '../open.ts';`,
  'api/lifecycle/across.ts': `import '../edgeml/fine.ts';`, // apis-do-not-meet, only-the-server-mounts-edgeml
  'api/edgeml/fine.ts': `import '../open.ts';`,
  'api/edgeml/across.ts': `import '../lifecycle/fine.ts';`, // apis-do-not-meet
  'api/metrics.ts': `import './edgeml/fine.ts';`, // only-the-server-mounts-edgeml
  'cli/main.ts': `import '../sdk/http.ts'; import '../environment.ts';`,
  'cli/config.ts': `import '../config.ts';`, // floor-cli
  'cli/api.ts': `import '../api/open.ts';`, // floor-cli, only-processes-import-api
  'sdk/http.ts': `import '../domain/errors.ts'; import type { A } from '../wire/types.ts'; export type B = A;`,
  'sdk/schema.ts': `import '../wire/fine.ts';`, // sdk-sees-types-of-wire
  'sdk/api.ts': `import type { A } from '../api/types.ts'; export type B = A;`, // sdk-stands-alone, only-processes-import-api
  'wire/types.ts': `export type A = 1;`,
  'api/types.ts': `export type A = 1;`,
  'sdk/store.ts': `import '../store/fine.ts';`, // sdk-stands-alone
  'dev/stack.ts': `import '../config.ts'; import './settings.ts';`,
  'dev/settings.ts': `import '../environment.ts';`,
  'config.ts': `import './environment.ts';`,
  'environment.ts': ``,
  'server.ts': `import './api/open.ts'; import './config.ts';`,
  'worker.ts': `import './cli/main.ts';`, // nothing-imports-cli
};

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

let house: string;
let violations: string[];
beforeAll(async () => {
  house = mkdtempSync(join(tmpdir(), 'edgeml-house-'));
  const files = {
    ...HOUSE,
    'tsconfig.json': '{}',
    'package.json': '{"type":"module"}',
    'node_modules/pg/index.js': '',
  };
  for (const [name, code] of Object.entries({
    ...files,
    'node_modules/pg/package.json': '{"name":"pg","main":"index.js"}',
  })) {
    mkdirSync(dirname(join(house, name)), { recursive: true });
    writeFileSync(
      join(house, name),
      /^\s*(import|$)/.test(code) && name.endsWith('.ts') ? `${code}\nexport {};\n` : code,
    );
  }
  const args = [
    join(CHECKOUT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
    '.',
    '--output-type',
    'json',
  ];
  const config = ['--config', join(CHECKOUT, '.dependency-cruiser.cjs')];
  // It exits with the number of violations; what it printed is what counts.
  const out = await new Promise<string>((resolve) =>
    execFile(process.execPath, [...args, ...config], { cwd: house }, (_, stdout) => resolve(stdout)),
  );
  const { summary } = JSON.parse(out) as { summary: { violations: Violation[] } }; // the reporter's own format
  violations = summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`);
}, 60_000);
afterAll(() => rmSync(house, { recursive: true, force: true }));

describe('the floors of the house', () => {
  it('refuse each import that goes up, sideways, in a circle or past the one room of a library, and none of the others', () => {
    expect([...new Set(violations)].sort()).toEqual(
      [
        'api/edgeml/across.ts: apis-do-not-meet',
        'api/lifecycle/across.ts: apis-do-not-meet',
        'api/lifecycle/across.ts: only-the-server-mounts-edgeml',
        'api/metrics.ts: only-the-server-mounts-edgeml',
        'cli/api.ts: floor-cli',
        'cli/config.ts: floor-cli',
        'cli/api.ts: only-processes-import-api',
        'commands/lost.ts: resolvable',
        'commands/pg.ts: library-pg',
        'domain/rollout/neighbour.ts: ground',
        'domain/upwards.ts: floor-domain',
        'relay/sideways.ts: floor-relay',
        'sdk/api.ts: only-processes-import-api',
        'sdk/api.ts: sdk-stands-alone',
        'sdk/schema.ts: sdk-sees-types-of-wire',
        'sdk/store.ts: sdk-stands-alone',
        'store/check.ts: nothing-imports-checks',
        'store/circleA.ts: no-circles',
        'store/config.ts: floor-store',
        'store/config.ts: only-processes-read-config',
        'store/dev.ts: nothing-imports-dev',
        'wire/store.ts: wire-is-pure',
        'worker.ts: nothing-imports-cli',
        'workflows/store.ts: workflows-see-types-of-activities-only',
        'workflows/values.ts: floor-workflows',
      ].sort(),
    );
  });
});
