/** A command is one append: its facts lie side by side in the log. */
import { createFindings, subjectOfRow, type Findings, type PresentRow } from '../finding.ts';

export function checkCommands(): Findings & { see(row: PresentRow): void } {
  const findings = createFindings('stream');
  let before: PresentRow['event'] | undefined;
  return Object.assign(findings, {
    see(row: PresentRow): void {
      const { event } = row;
      // One append is one transaction; the unique index refuses a second beginning.
      const follows =
        before?.command_id === event.command_id && before.xid === event.xid && before.era === event.era
          ? before.command_seq + 1
          : 1;
      if (event.command_seq !== follows) {
        const detail = `fact ${event.command_seq} of command ${event.command_id} comes where its fact ${follows} is due`;
        findings.add('command_split', detail, subjectOfRow(row));
      }
      before = event;
    },
  });
}
