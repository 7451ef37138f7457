/**
 * The floors of the house (docs/architecture.md "Floors"): a room imports only lower floors. `import type` may also go from workflows to activities and
 * from sdk to wire. Tests and benches may import anything; nothing imports them. Tested in `test/boundaries.unit.test.ts`.
 */
const FLOORS = [
  ['domain'],
  ['machines'],
  ['store'],
  ['commands'],
  ['workflows', 'activities', 'relay', 'projections'],
  ['audit', 'wire'],
  ['api', 'cli'],
];
const PROCESSES = '^(server|followers|worker|config|environment|logger)\\.ts$';
const CHECKS = '(\\.(test|contract|fixture)\\.ts$|^test/|^bench/)';
const rooms = FLOORS.flat();
const floorOf = (room) => FLOORS.findIndex((floor) => floor.includes(room));
const inside = (...names) => `^(${names.join('|')})/`;

/** Everything of ours that is not on a lower floor, and not the room itself. */
const tooHigh = (room) => rooms.filter((other) => other !== room && floorOf(other) >= floorOf(room));

/** Rooms above which a library may not be seen, and the only ones that speak to an outside system. */
const LIBRARIES = [
  { library: 'pg', rooms: ['store', 'dev'] },
  { library: 'kysely', rooms: ['store', 'projections'] },
  { library: '(nats|@nats-io/[^/]+)', rooms: ['relay', 'dev'] },
  { library: '@temporalio/client', rooms: ['relay', 'dev'] },
  { library: '@temporalio/worker', rooms: ['activities'] },
  { library: '@temporalio/activity', rooms: ['activities'] },
  { library: '@temporalio/workflow', rooms: ['workflows'] },
  { library: 'fastify', rooms: ['api'] },
  { library: 'onnxruntime-node', rooms: ['activities'] },
];

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
  forbidden: [
    rule(
      'no-circles',
      'Two files that need each other are one idea, or three.',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    ...rooms.map((room) =>
      rule(
        `floor-${room}`,
        `${room}/ imports only lower floors.`,
        { path: inside(room), pathNot: CHECKS },
        {
          path: `${inside(...tooHigh(room), 'sdk', 'dashboard', 'examples')}|${PROCESSES}`,
          // workflows may name the types of activities; the CLI speaks HTTP through the SDK.
          ...(room === 'workflows' ? { dependencyTypesNot: ['type-only'] } : {}),
          ...(room === 'cli' ? { pathNot: '^(sdk/|environment\\.ts$)' } : {}),
        },
      ),
    ),
    rule(
      'workflows-see-types-of-activities-only',
      'A workflow runs in a sandbox: of floors above machines it sees the types of activities.',
      { path: inside('workflows'), pathNot: CHECKS },
      { path: inside('store', 'commands', 'relay', 'projections', 'audit', 'api', 'cli', 'dev') },
    ),
    rule(
      'ground',
      'Rooms of domain/ share events/, hash/, errors, refusal, duration and semver, and nothing else of each other.',
      { path: '^domain/(rollout|learning|formats|ledger)/', pathNot: CHECKS },
      { path: '^domain/(rollout|learning|formats|ledger)/', pathNot: '^domain/$1/' },
    ),
    rule(
      'ground-is-below',
      'events/ and hash/ know no room.',
      { path: '^domain/(events|hash)/', pathNot: CHECKS },
      { path: '^domain/(rollout|learning|formats|ledger)/' },
    ),
    rule(
      'sdk-stands-alone',
      'The SDK runs in a browser: of ours it may use what is pure.',
      { path: '^sdk/', pathNot: CHECKS },
      { path: `${inside(...rooms, 'dev')}|${PROCESSES}`, pathNot: '^(domain|wire)/' },
    ),
    rule(
      'sdk-sees-types-of-wire',
      'The SDK runs in a browser.',
      { path: '^sdk/', pathNot: CHECKS },
      { path: '^wire/', dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'wire-is-pure',
      'Server and client share wire/: of ours it may use what is pure.',
      { path: '^wire/', pathNot: CHECKS },
      { path: inside(...rooms), pathNot: '^(domain|wire)/' },
    ),
    rule(
      'apis-do-not-meet',
      'What existing SDKs speak can be read, or deleted, alone.',
      { path: '^api/(lifecycle|edgeml)/', pathNot: CHECKS },
      { path: '^api/(lifecycle|edgeml)/', pathNot: '^api/$1/' },
    ),
    rule(
      'only-the-server-mounts-edgeml',
      'What existing SDKs speak can be deleted: nothing of ours stands on it.',
      { path: '.', pathNot: `^api/(edgeml/|server\\.ts$)|${CHECKS}` },
      { path: '^api/edgeml/' },
    ),
    rule(
      'only-processes-import-api',
      'api/ is put together by server.ts.',
      { path: '.', pathNot: `^(api/|server\\.ts$)|${CHECKS}` },
      { path: '^api/' },
    ),
    rule(
      'nothing-imports-cli',
      'The CLI is a program, not a library.',
      { path: '.', pathNot: `^(cli/|dev/)|${CHECKS}` },
      { path: '^cli/' },
    ),
    rule(
      'nothing-imports-dev',
      'The embedded stack is for people and tests.',
      { path: '.', pathNot: `^dev/|${CHECKS}` },
      { path: '^dev/' },
    ),
    rule(
      'nothing-imports-checks',
      'Tests and benches stand above everything.',
      { path: '.', pathNot: CHECKS },
      { path: CHECKS },
    ),
    rule(
      'only-processes-read-config',
      'Everything else gets values.',
      { path: '.', pathNot: `${PROCESSES}|^(cli|dev)/|${CHECKS}|^config\\.` },
      { path: '^(config|environment)\\.ts$' },
    ),
    ...LIBRARIES.map(({ library, rooms: allowed }) =>
      rule(
        `library-${library.replace(/[^a-z]+/g, '-').replace(/^-|-$/g, '')}`,
        `Only ${allowed.join(' and ')} speak through this library.`,
        { path: '.', pathNot: `${inside(...allowed)}|^node_modules/|${CHECKS}` },
        { path: `^node_modules/${library}/`, dependencyTypesNot: ['type-only'] },
      ),
    ),
    rule('resolvable', 'An import that leads nowhere.', {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|\\.edgeml|docs)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
