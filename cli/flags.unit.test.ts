/**
 * Every command with every flag it knows, one at a time: it is visible in the request or in what the command does, or it is refused. A new
 * command or flag needs an entry in TABLE.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from 'commander';
import { DEFAULT_POLICY } from '../domain/rollout/defaultPolicy.ts';
import { createProgram, everyCommand } from './main.ts';
import { wordsOfCommand } from './globals.ts';
import { startRecorder, type Ran, type Recorder, type Seen } from './recorder.fixture.ts';

/** How a flag is seen: in the request that matters, or by a check of the whole run (and of the run without it). */
interface Flag {
  readonly give: readonly string[];
  /** Other flags that it needs. */
  readonly with?: readonly string[];
  readonly request?: (seen: Seen) => unknown;
  readonly equals?: unknown;
  readonly behaves?: (ran: Ran, plain: Ran) => void;
}
interface Entry {
  /** A whole, legal command line. */
  readonly base: readonly string[];
  /** What of the request the arguments become; must hold every argument of `base`. */
  readonly path: string;
  readonly flags?: Readonly<Record<string, Flag>>;
  /** How it is made to wait; absent: it never waits. */
  readonly waits?: { readonly with: readonly string[]; readonly bar: boolean };
  /** The members of a query. */
  readonly reads?: boolean;
  readonly asks?: boolean;
}

const CHECKPOINT = `log/1\n3\n${'A'.repeat(43)}=\n`;
let recorder: Recorder;
let other: Recorder;
let files: { init: string; contract: string; key: string; checkpoint: string; fresh: string };
beforeAll(async () => {
  recorder = await startRecorder();
  other = await startRecorder();
  files = {
    init: recorder.file('init', 'weights'),
    contract: recorder.file('contract', '{"in":1}'),
    key: recorder.file('other.key', 'ek_other'),
    checkpoint: recorder.file('checkpoint', CHECKPOINT),
    fresh: join(recorder.folder, 'fresh'),
  };
});
afterAll(() => {
  recorder.close();
  other.close();
});
beforeEach(() => {
  recorder.stand({});
  recorder.answer(undefined);
});

const member = (name: string) => (seen: Seen) => (seen.body as Record<string, unknown>)[name];
const body = (flag: string, value: string, name: string, equals: unknown = value): Flag => ({
  give: [flag, value],
  request: member(name),
  equals,
});
const query = (flag: string, value: string, name: string): Flag => ({
  give: [flag, value],
  request: (seen) => seen.query[name],
  equals: value,
});
const bare = (flag: string, name: string, equals: unknown): Flag => ({ give: [flag], request: member(name), equals });
const stage = (flag: string, value: string, name: string): Flag => ({
  give: [flag, value],
  with: ['--steps', '50'],
  request: (seen) => (member('stages')(seen) as Record<string, unknown>[])[0]![name],
  equals: value,
});
const rule = (flag: string, value: string, name: string, equals: unknown, more: readonly string[] = []): Flag => ({
  give: [flag, value],
  with: more,
  request: (seen) => (member('policy')(seen) as { rules: Record<string, unknown>[] }).rules[0]![name],
  equals,
});
const uploads = (flag: string): Flag => ({
  give: [flag, '<file>'],
  behaves: (ran) => expect(ran.seen.filter((s) => s.method === 'PUT').map((s) => s.body)).toEqual(['weights']),
});
const reason = body('--reason', 'why not', 'reason');
const detaches: Flag = {
  give: ['--detach'],
  behaves: (ran, plain) => expect(ran.seen.length).toBeLessThan(plain.seen.length),
};
const waitsFor: Flag = {
  give: ['--wait'],
  behaves: (ran) => expect(ran.err).toMatch(/rollout 7: completed 100\/100/),
};
const LIMITED = ['--max-error-rate', '5%'];
const GRAPH = ['--architecture', 'mlp', '--input-dim', '4', '--output-dim', '1'];
const shape = (flag: string, name: string): Flag => ({
  give: [flag, '9'],
  with: GRAPH.filter((word, i) => word !== flag && GRAPH[i - 1] !== flag),
  request: (seen) => (member('architecture')(seen) as Record<string, unknown>)[name],
  equals: 9,
});

const ROLLOUT: Readonly<Record<string, Flag>> = {
  '--steps': { ...body('--steps', '10,50', 'stages'), equals: [{ percent: 10 }, { percent: 50 }] },
  '--bake': stage('--bake', '5m', 'min_bake'),
  '--max-bake': stage('--max-bake', '1h', 'max_bake'),
  '--ramp': stage('--ramp', '0s', 'ramp'),
  '--look': body('--look', '1s', 'look'),
  '--platform': body('--platform', 'ios,android', 'cohort', { platform: ['ios', 'android'] }),
  '--cohort': body('--cohort', 'platform=ios os>=14 os<15.2 region=eu,us', 'cohort', {
    platform: ['ios'],
    os: { gte: '14', lt: '15.2' },
    region: ['eu', 'us'],
  }),
  '--exclude': body('--exclude', 'app<3.2', 'exclude', { app: { lt: '3.2' } }),
  '--policy': body('--policy', 'evidence', 'policy'),
  '--if-unproven': body('--if-unproven', 'ask', 'if_unproven'),
  '--holdback': body('--holdback', '2%', 'holdback', 2),
  '--max-error-rate':
    DEFAULT_POLICY === 'rules'
      ? rule('--max-error-rate', '5%', 'value', 0.05)
      : body('--max-error-rate', '5%', 'metrics', { errors: { limit: 0.26416, on_limit: 'rollback' } }),
  '--min-predictions': rule('--min-predictions', '9', 'min_predictions', 9, LIMITED),
  '--min-devices': rule('--min-devices', '8', 'min_devices', 8, LIMITED),
  '--hold': bare('--hold', 'on_regressed', 'hold'),
};

/** A new command goes here, with each of its own flags. */
const TABLE: Readonly<Record<string, Entry>> = {
  'model create': {
    base: ['model', 'create', 'm', '--framework', 'custom', '--use-case', 'spam'],
    path: '/models',
    flags: {
      '--framework': body('--framework', 'onnx', 'framework'),
      '--use-case': body('--use-case', 'ham', 'use_case'),
      '--description': body('--description', 'x', 'description'),
      '--architecture': {
        ...shape('--architecture', 'kind'),
        give: ['--architecture', 'mlp:relu'],
        equals: 'mlp:relu',
      },
      '--input-dim': shape('--input-dim', 'input_dim'),
      '--hidden-dim': shape('--hidden-dim', 'hidden_dim'),
      '--output-dim': shape('--output-dim', 'output_dim'),
      '--contract': { give: ['--contract', '<contract>'], request: member('contract'), equals: { in: 1 } },
    },
  },
  'model list': { base: ['model', 'list'], path: '/models', reads: true },
  'model get': { base: ['model', 'get', 'm'], path: '/models/m', reads: true },
  'model lineage': { base: ['model', 'lineage', 'm'], path: '/models/m/lineage', reads: true },
  'version create': {
    base: ['version', 'create', 'm', '1.1.0'],
    path: '/models/m/versions',
    flags: { '--parent': body('--parent', '1.0.0', 'parent') },
  },
  'version list': { base: ['version', 'list', 'm'], path: '/models/m/versions', reads: true },
  'version get': { base: ['version', 'get', 'm', '1.0.0'], path: '/models/m/versions/1.0.0', reads: true },
  'version publish': {
    base: ['version', 'publish', 'm', '1.0.0'],
    path: '/models/m/versions/1.0.0/publish',
    flags: { '--formats': body('--formats', 'onnx,safetensors', 'formats', ['onnx', 'safetensors']) },
    waits: { with: [], bar: true },
  },
  'version cancel-publish': {
    base: ['version', 'cancel-publish', 'm', '1.0.0', '--reason', 'x'],
    path: '/models/m/versions/1.0.0/publish/cancel',
    flags: { '--reason': reason },
  },
  'train start': {
    base: ['train', 'start', 'm', '--new-version', '1.1.0'],
    path: '/models/m/train',
    flags: {
      '--new-version': body('--new-version', '1.2.0', 'new_version'),
      '--base': body('--base', '1.0.0', 'base_version'),
      '--init': uploads('--init'),
      '--evaluation': uploads('--evaluation'),
      '--rounds': body('--rounds', '3', 'rounds', 3),
      '--min-updates': body('--min-updates', '4', 'min_updates', 4),
      '--goal': body('--goal', '5', 'goal', 5),
      '--publish': bare('--publish', 'publish', true),
      '--detach': detaches,
    },
    waits: { with: [], bar: true },
  },
  'train get': { base: ['train', 'get', 'r'], path: '/training/r', reads: true },
  'train rounds': { base: ['train', 'rounds', 'r'], path: '/training/r/rounds', reads: true },
  'train watch': { base: ['train', 'watch', 'r'], path: '/training/r', waits: { with: [], bar: true } },
  ...Object.fromEntries(
    (['pause', 'resume', 'stop', 'abort'] as const).map((verb): [string, Entry] => [
      `train ${verb}`,
      {
        base: ['train', verb, 'r', ...(verb === 'pause' || verb === 'abort' ? ['--reason', 'x'] : [])],
        path: `/training/r/${verb}`,
        flags: { '--reason': reason },
      },
    ]),
  ),
  'rollout plan': {
    base: ['rollout', 'plan', 'm', '1.0.0'],
    path: '/models/m/rollouts?dry_run=true',
    flags: ROLLOUT,
  },
  'rollout start': {
    base: ['rollout', 'start', 'm', '1.0.0'],
    path: '/models/m/rollouts',
    flags: {
      ...ROLLOUT,
      '--pending': bare('--pending', 'start', false),
      '--wait': waitsFor,
    },
    waits: { with: ['--wait'], bar: true },
  },
  'rollout list': { base: ['rollout', 'list', 'm'], path: '/rollouts?model=m', reads: true },
  'rollout get': {
    base: ['rollout', 'get', '7'],
    path: '/rollouts/7',
    flags: { '--wait': waitsFor },
    reads: true,
    waits: { with: ['--wait'], bar: true },
  },
  'rollout status': {
    base: ['rollout', 'status', '7'],
    path: '/rollouts/7',
    flags: { '--wait': waitsFor },
    reads: true,
    waits: { with: ['--wait'], bar: true },
  },
  ...Object.fromEntries(
    (['pause', 'resume', 'advance', 'abort', 'rollback'] as const).map((verb): [string, Entry] => [
      `rollout ${verb}`,
      {
        base: ['rollout', verb, '7', ...(verb === 'resume' || verb === 'advance' ? [] : ['--reason', 'x'])],
        path: `/rollouts/7/${verb}`,
        flags: {
          '--reason': reason,
          ...(verb === 'advance'
            ? { '--override': { ...bare('--override', 'override', true), with: ['--reason', 'x'] } }
            : {}),
          ...(verb === 'rollback' ? { '--to': body('--to', '0.9.0', 'target_version') } : {}),
        },
        asks: verb === 'abort' || verb === 'rollback',
      },
    ]),
  ),
  'rollout root-cause': {
    base: ['rollout', 'root-cause', '7', '--text', 'x'],
    path: '/rollouts/7/root-cause',
    flags: { '--text': body('--text', 'a bug', 'text') },
  },
  rollback: {
    base: ['rollback', 'm', '--reason', 'x'],
    path: '/models/m/rollback',
    flags: {
      '--reason': reason,
      '--to': body('--to', '0.9.0', 'target_version'),
      '--from': body('--from', '1.1.0', 'from_version'),
    },
    asks: true,
  },
  'postmortem get': { base: ['postmortem', 'get', '7'], path: '/rollouts/7/post-mortem' },
  'events list': {
    base: ['events', 'list'],
    path: '/events',
    flags: {
      '--from': query('--from', '4', 'from'),
      '--kind': query('--kind', 'rollout', 'kind'),
      '--type': query('--type', 'RolloutPaused', 'type'),
      '--model': query('--model', 'm', 'model'),
      '--limit': query('--limit', '6', 'limit'),
    },
    reads: true,
  },
  'events tail': {
    base: ['events', 'tail'],
    path: '/events',
    flags: { '--from': { ...query('--from', '3', 'from'), with: ['--timeout', '1s'] } },
    waits: { with: [], bar: false },
  },
  'audit verify': {
    base: ['audit', 'verify'],
    path: '/audit/verify',
    flags: {
      '--fast': bare('--fast', 'fast', true),
      '--checkpoint': {
        give: ['--checkpoint', '<checkpoint>'],
        request: (seen) => (member('checkpoints')(seen) as { text: string }[]).map((c) => c.text),
        equals: [CHECKPOINT],
      },
    },
    waits: { with: [], bar: true },
  },
  'admin rebuild': {
    base: ['admin', 'rebuild', 'catalog'],
    path: '/admin/read-models/catalog/rebuild',
    waits: { with: [], bar: true },
  },
  'audit checkpoint': {
    base: ['audit', 'checkpoint'],
    path: '/audit/checkpoint',
    flags: {
      '--out': {
        give: ['--out', '<fresh>'],
        behaves: (ran) => {
          expect(ran.code).toBe(0);
          expect(readFileSync(files.fresh, 'utf8')).toBe('log/1\n0\nAA=\n');
        },
      },
    },
  },
  'audit replay': {
    base: ['audit', 'replay', 's'],
    path: '/audit/replay?stream=s',
    flags: { '--to': query('--to', 'version:3', 'to') },
  },
  state: { base: ['state', 's'], path: '/streams/s', reads: true },
  'key create': {
    base: ['key', 'create', 'n', '--role', 'viewer'],
    path: '/keys',
    flags: { '--role': body('--role', 'admin,monitor', 'roles', ['admin', 'monitor']) },
  },
  'key list': { base: ['key', 'list'], path: '/keys' },
  'key revoke': { base: ['key', 'revoke', 'k'], path: '/keys/k/revoke' },
  'org create': {
    base: ['org', 'create', 'Acme'],
    path: '/orgs',
    flags: { '--id': body('--id', 'org_acme', 'id') },
  },
  'device release': { base: ['device', 'release', 'phone-1'], path: '/devices/phone-1/release' },
  'org list': { base: ['org', 'list'], path: '/orgs' },
  whoami: { base: ['whoami'], path: '/access/me' },
};

const program = createProgram();
const commands = everyCommand(program).filter((c) => c.commands.length === 0);
const entryOf = (command: Command): Entry => {
  const entry = TABLE[wordsOfCommand(command)];
  if (entry === undefined) throw new Error(`${wordsOfCommand(command)} has no entry in TABLE`);
  return entry;
};
const own = (command: Command) => command.options.map((o) => o.long ?? '');
const place = (seen: Seen) => `${seen.method} ${seen.path}`;

/** Ends what only --timeout ends, and answers what a command would ask a person. */
const ending = (command: Command): string[] => [
  ...(wordsOfCommand(command) === 'events tail' ? ['--timeout', '1s'] : []),
  ...(entryOf(command).asks ? ['-y'] : []),
];
const plainly = (command: Command) => recorder.run([...entryOf(command).base, ...ending(command)]);

/** `base` with a flag; one that is in it already is replaced. */
function withFlag(command: Command, flag: Flag): string[] {
  const base = [...entryOf(command).base];
  const at = base.indexOf(flag.give[0]!);
  if (at >= 0) base.splice(at, 2);
  const named: Readonly<Record<string, string>> = {
    '<file>': files.init,
    '<contract>': files.contract,
    '<checkpoint>': files.checkpoint,
    '<fresh>': files.fresh,
  };
  const words = flag.give.map((w) => named[w] ?? w);
  const all = [...base, ...words, ...(flag.with ?? [])];
  return [...all, ...ending(command).filter((w) => !all.includes('--timeout') || w === '-y')];
}
/** The request that is the command's own: the one to its path. */
function theRequest(command: Command, ran: Ran): Seen {
  const [path, search = ''] = entryOf(command).path.split('?');
  const found = ran.seen.find((s) => s.path === `/lifecycle/v1${path}`);
  expect(found, `${ran.err}\n${ran.seen.map(place).join('\n')}`).toBeDefined();
  for (const [name, value] of new URLSearchParams(search)) expect(found!.query[name]).toBe(value);
  return found!;
}

describe('the table', () => {
  it('has every command and every flag of the program, and no other', () => {
    expect(Object.keys(TABLE).sort()).toEqual(commands.map(wordsOfCommand).sort());
    for (const command of commands)
      expect([wordsOfCommand(command), ...Object.keys(entryOf(command).flags ?? {}).sort()]).toEqual([
        wordsOfCommand(command),
        ...own(command).sort(),
      ]);
    expect(program.options.map((o) => o.long)).toEqual([
      ...['--url', '--key-file', '--output', '--as-of', '--yes', '--timeout', '--no-progress'],
    ]);
  });
});

describe.each(commands.map((command) => [wordsOfCommand(command), command] as const))('edgeml %s', (_, command) => {
  const usage = (ran: Ran, why: RegExp) => {
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 2, err: expect.stringMatching(why) as string });
    expect(ran.seen).toEqual([]);
  };
  const entry = TABLE[wordsOfCommand(command)] ?? { base: [], path: '' };

  it('sends what its arguments say', async () => {
    const ran = await plainly(command);
    theRequest(command, ran);
    expect([0, 5]).toContain(ran.code);
  });

  it.each(Object.entries(entry.flags ?? {}))('uses %s', async (_name, flag) => {
    const ran = await recorder.run(withFlag(command, flag));
    if (flag.request) expect(flag.request(theRequest(command, ran))).toEqual(flag.equals);
    else flag.behaves!(ran, await plainly(command));
  });

  it('refuses an empty value, a blank one and a second one of every option, and an empty argument', async () => {
    for (const option of command.options.filter((o) => o.required)) {
      const flag = entry.flags![option.long!]!;
      const line = withFlag(command, flag);
      const at = line.indexOf(option.long!);
      for (const bad of ['', '  ', '\t'])
        usage(await recorder.run(line.with(at + 1, bad)), /error: option .* is invalid|cannot be read/);
      usage(await recorder.run([...line, option.long!, line[at + 1]!]), /given twice/);
    }
    const words = wordsOfCommand(command).split(' ').length;
    for (let i = 0; i < command.registeredArguments.length; i += 1) {
      for (const bad of ['', ' '])
        usage(await recorder.run(entry.base.with(words + i, bad)), /error: command-argument/);
    }
    usage(await recorder.run([...entry.base, ...ending(command), 'surplus']), /too many arguments/);
  });

  it('goes to the --url with the key of the --key-file', async () => {
    const line = [...entry.base, ...ending(command)];
    const there = await other.run([...line, '--url', other.url, '--key-file', files.key]);
    expect(there.seen.length).toBeGreaterThan(0);
    expect(new Set(there.seen.map((s) => s.authorization))).toEqual(new Set(['Bearer ek_other']));
    for (const [flag, bad] of [
      ['--url', 'here'],
      ['--url', 'ftp://x'],
      ['--url', ''],
      ['--key-file', '/nowhere'],
      ['--key-file', ''],
    ] as const)
      usage(await recorder.run([...line, flag, bad]), /error/);
  });

  it('answers in the form of -o', async () => {
    const line = [...entry.base, ...ending(command)];
    const [text, json, jsonl, name] = [
      await recorder.run(line),
      await recorder.run([...line, '-o', 'json']),
      await recorder.run([...line, '-o', 'jsonl']),
      await recorder.run([...line, '-o', 'name']),
    ];
    expect(JSON.parse(json.out)).toBeTypeOf('object');
    expect(jsonl.out.trim()).not.toMatch(/\n/);
    expect(JSON.parse(jsonl.out)).toBeTypeOf('object');
    expect(name.out.trim()).toMatch(/^\S+$/);
    expect(text.out).not.toBe(json.out);
    usage(await recorder.run([...line, '-o', 'xml']), /Allowed choices/);
  });

  it('reads as of --as-of, or refuses it', async () => {
    const line = [...entry.base, ...ending(command), '--as-of'];
    const ran = await recorder.run([...line, '5']);
    if (!entry.reads) return usage(ran, /takes no --as-of/);
    expect(theRequest(command, ran).query['as_of']).toBe('5');
    for (const bad of ['', 'yesterday', '-1', '1.5']) usage(await recorder.run([...line, bad]), /--as-of/);
    if (entry.waits) usage(await recorder.run([...line, '5', ...entry.waits.with]), /takes no --as-of/);
  });

  it('asks before what cannot be undone, and -y answers; or refuses -y', async () => {
    if (!entry.asks) return usage(await recorder.run([...entry.base, ...ending(command), '-y']), /takes no --yes/);
    const ran = await recorder.run(entry.base);
    expect({ code: ran.code, err: ran.err }).toMatchObject({
      code: 2,
      err: expect.stringMatching(/Say so with -y/) as string,
    });
    expect(ran.seen.filter((s) => s.method === 'POST')).toEqual([]);
    theRequest(command, await plainly(command));
  });

  it('gives up after --timeout by the clock, or refuses it', async () => {
    const line = [...entry.base, ...(entry.asks ? ['-y'] : [])];
    if (!entry.waits) return usage(await recorder.run([...line, '--timeout', '1h']), /takes no --timeout/);
    for (const bad of ['', '5', '-1s', 'soon', '400d', '1e3s'])
      usage(await recorder.run([...line, ...entry.waits.with, '--timeout', bad]), /--timeout/);
    if (entry.waits.with.length > 0) usage(await recorder.run([...line, '--timeout', '1h']), /takes no --timeout/);
    // Nothing changes any more, and for a verify nothing is even said.
    recorder.stand({ status: 'active', state: 'running', ended: null });
    if (['audit verify', 'admin rebuild'].includes(wordsOfCommand(command))) recorder.answer(() => true);
    const ran = await recorder.run([...line, ...entry.waits.with, '--timeout', '60ms']);
    expect({ code: ran.code, err: ran.err }).toEqual({
      code: 5,
      err: expect.stringMatching(/--timeout has passed: .*comes back/s) as string,
    });
  });

  it('draws no bar with --no-progress, or refuses it', async () => {
    const line = [...entry.base, ...(entry.asks ? ['-y'] : [])];
    if (!entry.waits?.bar)
      return usage(await recorder.run([...line, ...ending(command), '--no-progress']), /takes no --no-progress/);
    if (entry.waits.with.length > 0) usage(await recorder.run([...line, '--no-progress']), /takes no --no-progress/);
    const waiting = [...line, ...entry.waits.with];
    expect((await recorder.run(waiting, { terminal: true })).err).toMatch(/[█=]/);
    expect((await recorder.run([...waiting, '--no-progress'], { terminal: true })).err).not.toMatch(/[█=]/);
  });
});

describe('checkpoints that were kept', () => {
  it('are usage errors when they cannot be read or are none; --out replaces no file', async () => {
    for (const [line, why] of [
      [['verify', '--checkpoint', '/nowhere'], /cannot be read/],
      [['verify', '--checkpoint', `${files.checkpoint},${files.init}`], /expected three lines: origin, size, base64/],
      [['checkpoint', '--out', files.init], /cannot be written/],
    ] as const) {
      const ran = await recorder.run(['audit', ...line]);
      expect({ code: ran.code, err: ran.err }).toEqual({ code: 2, err: expect.stringMatching(why) as string });
    }
    expect(readFileSync(files.init, 'utf8')).toBe('weights');
  });
});
