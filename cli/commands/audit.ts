/** `edgeml events`, `edgeml audit`, `edgeml state`, `edgeml key`, `edgeml whoami`. */
import type { Command } from 'commander';
import type { Event, Role } from '../../sdk/types.ts';
import { EXIT } from '../exit.ts';
import { table } from '../output.ts';
import { session } from './shared.ts';

const TAIL_MS = 500;
const line = (e: Event) =>
  `${String(e.position ?? '…').padStart(6)}  ${e.recorded_at}  ${e.stream}@${e.stream_version}  ${e.type}  by ${e.actor.kind}:${e.actor.id}`;

export function addAuditCommands(program: Command): void {
  const events = program.command('events').description('the facts, in log order');

  events
    .command('list')
    .option('--from <position>', 'first position')
    .option('--kind <kind>', 'model, version, training or rollout')
    .option('--type <fact>')
    .option('--model <model>')
    .option('--limit <n>', 'at most so many', '50')
    .action(
      async (o: { from?: string; kind?: string; type?: string; model?: string; limit: string }, command: Command) => {
        const { out, audit } = session(command);
        const page = await audit.events({
          limit: Number(o.limit),
          ...(o.from === undefined ? {} : { from: Number(o.from) }),
          ...(o.kind === undefined ? {} : { kind: o.kind }),
          ...(o.type === undefined ? {} : { type: o.type }),
          ...(o.model === undefined ? {} : { model: o.model }),
        });
        out.list(
          page.items,
          () => page.items.map(line),
          (e: Event) => e.id,
        );
      },
    );

  events
    .command('tail')
    .description('each fact as it comes, until Ctrl-C')
    .option('--from <position>')
    .action(async (o: { from?: string }, command: Command) => {
      const { out, audit } = session(command);
      let from = o.from === undefined ? (await audit.events({ limit: 1 })).position + 1 : Number(o.from);
      for (;;) {
        const page = await audit.events({ from, limit: 500 });
        for (const event of page.items) {
          if (out.format === 'text') process.stdout.write(`${line(event)}\n`);
          else process.stdout.write(`${JSON.stringify(event)}\n`);
          from = (event.position ?? from) + 1;
        }
        if (page.items.length === 0) await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
      }
    });

  const audit = program.command('audit').description('check the record, and replay it');

  audit
    .command('verify')
    .description('check the whole log; exit 3 when something is wrong')
    .option('--fast', 'leave the read models out')
    .action(async (o: { fast?: boolean }, command: Command) => {
      const s = session(command);
      const result = await s.audit.verify(o.fast ? { fast: true } : {});
      s.out.show(
        result,
        () =>
          result.passed
            ? ['the log is whole: every step passed']
            : ['the log is not whole:', ...result.findings.map((f) => `  ${f.step}: ${f.detail}`)],
        result.passed ? 'passed' : 'failed',
      );
      const first = result.findings[0];
      if (first) s.out.note(`${first.step}: ${first.detail}`);
      process.exitCode = result.passed ? EXIT.done : EXIT.badOutcome;
    });

  audit
    .command('replay <stream>')
    .description('each fact with the state before and after it')
    .option('--to <place>', 'a position, event:<id> or a time')
    .action(async (stream: string, o: { to?: string }, command: Command) => {
      const s = session(command);
      const { items } = await s.audit.replay(stream, o.to);
      s.out.list(
        items,
        () => items.map((i) => `${line(i.event)}\n        ${i.state_before} → ${i.state_after}`),
        (i: { event: Event }) => i.event.id,
      );
    });

  program
    .command('state <stream>')
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
    .command('create <name>')
    .requiredOption('--role <roles>', 'comma list: admin, operator, monitor, auditor, viewer, device')
    .action(async (name: string, o: { role: string }, command: Command) => {
      const s = session(command);
      // The server refuses words that are no roles, and names them.
      const created = await s.audit.createKey({ name, roles: o.role.split(',') as Role[] });
      s.out.show(created, () => [created.key], created.key);
      s.out.note(`key ${created.id} with ${created.roles.join(', ')}: it is shown this once`);
    });

  key.command('list').action(async (_o: unknown, command: Command) => {
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

  key.command('revoke <id>').action(async (id: string, _o: unknown, command: Command) => {
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
