/** What a file may not do, by the folder it is in. Each ban has a test in `test/lint.unit.test.ts`. */
import tseslint from 'typescript-eslint';

/** Files that run before or beside TypeScript: no types to check by. */
const PLAIN = ['**/*.js', '**/*.cjs', '**/*.mjs'];
const TESTS = ['**/*.test.ts', '**/*.contract.ts', '**/*.fixture.ts', 'test/**'];

const ban = (selector, message) => ({ selector, message });

const EVERYWHERE = [
  ban(
    "MemberExpression[object.name='process'][property.name='env']",
    'process.env is read in environment.ts; take the value as an argument.',
  ),
  ban(
    "ImportDeclaration[source.value='node:process']",
    'process is a global; its environment is read in environment.ts.',
  ),
];
/** A call takes its arguments on the stack: some ten thousand of them, and it throws a RangeError. */
const MANY = '/^(min|max|hypot|push|unshift|splice|concat|fromCharCode|fromCodePoint)$/';
const SPREAD_MESSAGE = 'Data decide how long that array is, and a long one exhausts the stack: loop, or reduce.';
const SPREADS = [
  ban(
    `CallExpression[callee.property.name=${MANY}] > SpreadElement.arguments:not([argument.type='ArrayExpression'])`,
    SPREAD_MESSAGE,
  ),
  ban(`CallExpression[callee.property.name='apply'][callee.object.property.name=${MANY}]`, SPREAD_MESSAGE),
  ban(`CallExpression[callee.object.name='Reflect'][callee.property.name='apply']`, SPREAD_MESSAGE),
  ban(`NewExpression[callee.name=/Array$/] > SpreadElement.arguments`, SPREAD_MESSAGE),
];
const LOGGER = [
  ban(
    "ImportDeclaration[source.value='pino'][importKind='value']",
    'A logger of one’s own prints {} for an error: createLogger of logger.ts does not.',
  ),
];
const NO_SQL = [
  ban(
    "CallExpression[callee.property.name='query']",
    'SQL is in store/ and in the read models: ask by a function of theirs.',
  ),
  ban('ImportDeclaration[source.value=/namedSql/]', 'SQL is in store/ and in the read models.'),
];
const ONE_DOOR = [ban('ExportDefaultDeclaration', 'Export by name; only files that a tool loads have a default.')];
const PURE = [
  ban("CallExpression[callee.object.name='Date'][callee.property.name='now']", 'Pure: time arrives as an argument.'),
  ban("NewExpression[callee.name='Date'][arguments.length=0]", 'Pure: time arrives as an argument.'),
  ban("CallExpression[callee.name='Date']", 'Pure: time arrives as an argument.'),
  ban("MemberExpression[object.name='Math'][property.name='random']", 'Pure: randomness arrives as an argument.'),
  ban('ImportExpression', 'Pure: nothing is loaded at run time.'),
];
const MACHINES = [
  ban(
    'Property[key.name=/^(invoke|after|spawnChild)$/]',
    'A machine waits for nothing and starts nothing: Temporal does.',
  ),
  ban(
    'ImportSpecifier[imported.name=/^(spawnChild|fromPromise|fromCallback|fromObservable|waitFor)$/]',
    'A machine starts no actors.',
  ),
];
const WORKFLOWS = [
  ban('ExportAllDeclaration', 'Temporal registers every export as a workflow: name them.'),
  ban(
    "Program > VariableDeclaration[kind!='const']",
    'Module state would be shared or lost between runs: keep it inside the workflow.',
  ),
  ban(
    'Program > VariableDeclaration > VariableDeclarator > NewExpression[callee.name=/^(Map|Set|WeakMap|WeakSet|Array)$/]',
    'Module state would be shared or lost between runs: keep it inside the workflow.',
  ),
  ban("ImportSpecifier[imported.name='waitFor']", "XState's waitFor breaks replay: use condition."),
];
const NO_NODE = {
  patterns: [
    {
      group: ['node:*', 'fs', 'crypto', 'path', 'os'],
      message: 'No Node built-ins here: bytes, ids and time arrive as arguments.',
    },
  ],
};
const PURE_GLOBALS = [
  'process',
  'fetch',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'crypto',
  'Buffer',
];

/** The first line of a pure file says so. */
const saysPure = {
  meta: { type: 'suggestion', schema: [], messages: { silent: 'Begin the file with `/** Pure. … */`.' } },
  create: (context) => ({
    Program(node) {
      const first = context.sourceCode.getAllComments()[0];
      if (first?.type === 'Block' && first.loc.start.line === 1 && /^\*\s*(\n\s*\*\s*)?Pure\b/.test(first.value))
        return;
      context.report({ node, loc: { line: 1, column: 0 }, messageId: 'silent' });
    },
  }),
};

const syntax = (...bans) => ({ 'no-restricted-syntax': ['error', ...bans] });

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', '.edgeml/', '**/fixtures/**', 'dashboard/dist/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/ban-ts-comment': ['error', { 'ts-expect-error': 'allow-with-description' }],
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/no-base-to-string': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/no-unsafe-function-type': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/only-throw-error': ['error', { allowRethrowing: true }],
      '@typescript-eslint/return-await': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'no-eval': 'error',
      'no-var': 'error',
      'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'] }],
      'prefer-const': 'error',
      ...syntax(...EVERYWHERE, ...SPREADS, ...LOGGER, ...ONE_DOOR),
    },
  },
  {
    files: ['domain/**/*.ts', 'machines/**/*.ts'],
    ignores: TESTS,
    plugins: { edgeml: { rules: { 'says-pure': saysPure } } },
    rules: {
      'edgeml/says-pure': 'error',
      'no-restricted-imports': ['error', NO_NODE],
      'no-restricted-globals': ['error', ...PURE_GLOBALS],
      ...syntax(...EVERYWHERE, ...SPREADS, ...ONE_DOOR, ...PURE),
    },
  },
  {
    files: ['machines/**/*.ts'],
    ignores: TESTS,
    rules: syntax(...EVERYWHERE, ...SPREADS, ...ONE_DOOR, ...PURE, ...MACHINES),
  },
  {
    files: ['workflows/**/*.ts'],
    ignores: TESTS,
    rules: {
      'no-restricted-imports': [
        'error',
        { ...NO_NODE, paths: [{ name: 'zod', message: 'Shapes are TypeBox, checked in activities.' }] },
      ],
      'no-restricted-globals': ['error', ...PURE_GLOBALS.filter((name) => name !== 'setTimeout'), 'structuredClone'],
      ...syntax(...EVERYWHERE, ...SPREADS, ...ONE_DOOR, ...WORKFLOWS),
    },
  },
  // Rooms that could reach a connection. Those below store/ cannot; the followers of the log and the audit hold statements of their own.
  {
    files: ['{api,commands,activities,wire,cli,sdk,examples}/**/*.ts', '{server,worker,followers}.ts'],
    ignores: TESTS,
    rules: syntax(...EVERYWHERE, ...SPREADS, ...LOGGER, ...ONE_DOOR, ...NO_SQL),
  },
  // They make their own data, and few of them.
  { files: [...TESTS, 'bench/**'], rules: syntax(...EVERYWHERE, ...ONE_DOOR) },
  { files: ['cli/**', 'dev/**', 'examples/**', 'bench/**'], rules: { 'no-console': 'off' } },
  // The one reader of the environment.
  { files: ['environment.ts'], rules: syntax(...ONE_DOOR) },
  { files: ['logger.ts'], rules: syntax(...EVERYWHERE, ...SPREADS, ...ONE_DOOR) },
  // Loaded by vitest, which asks for a default export.
  {
    files: ['vitest.config.ts', 'test/support/closingLine.ts', 'test/support/globalSetup.ts'],
    rules: syntax(...EVERYWHERE),
  },
  { files: PLAIN, rules: { eqeqeq: 'error', 'no-eval': 'error', 'no-var': 'error', 'prefer-const': 'error' } },
  {
    files: [...PLAIN.filter((glob) => glob !== '**/*.mjs'), 'cli/**/*.mjs', 'examples/**/*.mjs'],
    rules: syntax(...EVERYWHERE),
  },
);
