/** `edgeml events`, `edgeml audit`, `edgeml state`, `edgeml key`, `edgeml whoami`. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Event, Role } from '../../sdk/types.ts';
import { checkpointText, parseCheckpoint } from '../../domain/ledger/checkpoint.ts';
import { CliError, EXIT } from '../exit.ts';
import { uses } from '../globals.ts';
import { table } from '../output.ts';
import { argument, list, name as oneName, momentInLog, readInput, text, valued, whole } from '../parse.ts';
import { waiting } from '../waiting.ts';
import { followed, session } from './shared.ts';

const TAIL_MS = 500;
const line = (e: Event) =>
  `${String(e.position ?? '…').padStart(6)}  ${e.recorded_at}  ${e.stream}@${e.stream_version}  ${e.type}  by ${e.actor.kind}:${e.actor.id}`;

interface ListOptions {
  readonly from?: number;
  readonly kind?: string;
  readonly type?: string;
  readonly model?: string;
  readonly limit?: number;
}

const STREAM = argument('stream', 'such as rollout-1', oneName);
const placeInStream = (value: string) => (/^version:\d{1,15}$/.test(value) ? value : momentInLog(value));

/** @throws CliError (exit 2) for a file that cannot be read or is no checkpoint */
function keptIn(file: string): { name: string; text: string } {
  const read = parseCheckpoint(readInput(file, '--checkpoint').toString('utf8'));
  if (!read.ok) throw new CliError(`--checkpoint ${file} is no checkpoint: ${read.why}`, EXIT.usage);
  return { name: file.slice(-200), text: checkpointText(read.checkpoint) };
}

function writeNew(file: string, content: string): void {
  try {
    writeFileSync(file, content, { flag: 'wx' });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(`--out ${file} cannot be written: ${why}`, EXIT.usage);
  }
}

export function addAuditCommands(program: Command): void {
  const events = program.command('events').description('the facts, in log order');

  uses(events.command('list'), 'asOf')
    .description('facts that fit')
    .addOption(valued('--from <position>', 'first position', whole()))
    .addOption(valued('--kind <kind>', 'model, version, training or rollout', text))
    .addOption(valued('--type <fact>', 'such as RolloutPaused', text))
    .addOption(valued('--model <model>', 'its name or id', oneName))
    .addOption(valued('--limit <n>', 'at most so many; 50', whole(1, 500)))
    .action(async (o: ListOptions, command: Command) => {
      const { out, audit, asOf } = session(command);
      const page = await audit.events({ limit: 50, ...o }, asOf);
      out.list(
        page.items,
        () => page.items.map(line),
        (e: Event) => e.id,
      );
    });

  uses(events.command('tail'), 'timeout')
    .description('each fact as it comes, until Ctrl-C or --timeout; -o json and jsonl: one line a fact')
    .addOption(valued('--from <position>', 'first position; default: what comes next', whole()))
    .action(async (o: { from?: number }, command: Command) => {
      const { out, audit, flags } = session(command);
      let from = o.from;
      const print = (e: Event) => (out.format === 'text' ? line(e) : out.format === 'name' ? e.id : JSON.stringify(e));
      const limits = {
        timeoutMs: flags.timeout,
        standing: () => (from === undefined ? 'nothing was read' : `the facts before ${from} were shown`),
        get comeBack() {
          return `edgeml events tail${from === undefined ? '' : ` --from ${from}`}`;
        },
      };
      await waiting(limits, async (wait) => {
        from ??= (await wait.ask((signal) => audit.events({ limit: 1 }, { signal }))).position + 1;
        for (;;) {
          const page = await wait.ask((signal) => audit.events({ from: from ?? 0, limit: 500 }, { signal }));
          for (const event of page.items) {
            process.stdout.write(`${print(event)}\n`);
            from = (event.position ?? from) + 1;
          }
          if (page.items.length === 0) await wait.pause(TAIL_MS);
        }
      });
    });

  const audit = program.command('audit').description('check the record, and replay it');

  uses(audit.command('verify'), 'waits')
    .description('check the whole log; exit 3 when something is wrong')
    .option('--fast', 'leave the read models out')
    .addOption(valued('--checkpoint <files>', 'a comma list of checkpoints that were kept elsewhere', list(text)))
    .action(async (o: { fast?: boolean; checkpoint?: readonly string[] }, command: Command) => {
      const checkpoints = (o.checkpoint ?? []).map(keptIn);
      const s = session(command);
      const asked = { ...(o.fast ? { fast: true } : {}), ...(checkpoints.length > 0 ? { checkpoints } : {}) };
      const limits = {
        timeoutMs: s.flags.timeout,
        standing: () => 'the log was not read to its end',
        comeBack: 'edgeml audit verify',
      };
      const progress = followed(s.out, 'audit verify');
      const result = await waiting(limits, ({ signal }) => s.audit.verify(asked, { signal, ...progress })).finally(
        progress.done,
      );
      const end = `size ${result.size}, root ${result.root}, log ${result.origin}`;
      s.out.show(
        result,
        () =>
          result.passed
            ? ['the log is whole: every step passed', end]
            : ['the log is not whole:', ...result.findings.map((f) => `  ${f.step}: ${f.detail}`), end],
        result.passed ? 'passed' : 'failed',
      );
      const first = result.findings[0];
      if (first) s.out.note(`${first.step}: ${first.detail}`);
      process.exitCode = result.passed ? EXIT.done : EXIT.badOutcome;
    });

  audit
    .command('checkpoint')
    .description('the newest checkpoint of the log; keep it elsewhere, and give it to verify')
    .addOption(valued('--out <file>', 'write it there; a file that exists is not replaced', text))
    .action(async (o: { out?: string }, command: Command) => {
      const s = session(command);
      const checkpoint = await s.audit.checkpoint();
      if (o.out !== undefined) writeNew(o.out, checkpoint.text);
      const lines = checkpoint.text.trimEnd().split('\n');
      s.out.show(checkpoint, () => lines, checkpoint.root);
    });

  audit
    .command('replay')
    .addArgument(STREAM)
    .description('each fact with the state before and after it')
    .addOption(valued('--to <place>', 'a position, version:<n>, event:<id> or a time', placeInStream))
    .action(async (stream: string, o: { to?: string }, command: Command) => {
      const s = session(command);
      const { items } = await s.audit.replay(stream, o.to);
      s.out.list(
        items,
        () => items.map((i) => `${line(i.event)}\n        ${i.state_before} → ${i.state_after}`),
        (i: { event: Event }) => i.event.id,
      );
    });

  uses(program.command('state'), 'asOf')
    .addArgument(STREAM)
    .description('the fold of one stream, such as rollout-1')
    .action(async (stream: string, _o: unknown, command: Command) => {
      const s = session(command);
      const got = await s.audit.stream(stream, s.asOf);
      s.out.show(
        got,
        () => [`${got.stream} is ${got.state} at version ${got.stream_version}`, ...got.events.map(line)],
        got.state,
      );
    });

  const key = program.command('key').description('API keys');

  key
    .command('create')
    .addArgument(argument('name', 'for people', text))
    .description('a key, shown once')
    .addOption(
      valued(
        '--role <roles>',
        'comma list: admin, operator, monitor, auditor, viewer, device, instance',
        list(text),
      ).makeOptionMandatory(),
    )
    .action(async (name: string, o: { role: string[] }, command: Command) => {
      const s = session(command);
      // The server refuses words that are no roles, and names them.
      const created = await s.audit.createKey({ name, roles: o.role as Role[] });
      s.out.show(created, () => [created.key], created.key);
      s.out.note(`key ${created.id} with ${created.roles.join(', ')}: it is shown this once`);
    });

  key
    .command('list')
    .description('keys, without their secrets')
    .action(async (_o: unknown, command: Command) => {
      const s = session(command);
      const keys = await s.audit.listKeys();
      s.out.list(
        keys,
        () =>
          table(
            ['ID', 'NAME', 'ROLES', 'ENDS IN', 'REVOKED'],
            keys.map((k) => [k.id, k.name, k.roles.join(','), k.last4, k.revoked_at ?? '–']),
          ),
        (k: { id: string }) => k.id,
      );
    });

  key
    .command('revoke')
    .addArgument(argument('id', 'of a key', oneName))
    .description('at once, and for ever')
    .action(async (id: string, _o: unknown, command: Command) => {
      const s = session(command);
      const revoked = await s.audit.revokeKey(id);
      s.out.show(revoked, () => [`key ${revoked.id} is revoked`], revoked.id);
    });

  program
    .command('whoami')
    .description('which key, which roles')
    .action(async (_o: unknown, command: Command) => {
      const s = session(command);
      const me = await s.audit.whoAmI();
      s.out.show(me, () => [`${me.name} (${me.key_id}) of ${me.org_id}: ${me.roles.join(', ')}`], me.key_id);
    });
}
