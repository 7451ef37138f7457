/** Versions of each stream rise by one in log order, and a command is one append. */
import { createFindings, placeOf, type Findings, type PresentRow } from '../finding.ts';

export function checkStreams(): Findings & { see(row: PresentRow): void } {
  const findings = createFindings('stream');
  const versions = new Map<string, number>();
  let before: PresentRow['event'] | undefined;
  return Object.assign(findings, {
    see(row: PresentRow): void {
      const { event } = row;
      const expected = (versions.get(event.stream_id) ?? 0) + 1;
      if (event.stream_version !== expected) {
        const detail = `version ${event.stream_version} of ${event.stream_id} comes where ${expected} is due`;
        findings.add('version_order', detail, placeOf(row));
      }
      versions.set(event.stream_id, event.stream_version);
      // One append is one transaction, so its facts lie side by side; the unique index refuses a second beginning.
      const follows =
        before?.command_id === event.command_id && before.xid === event.xid && before.era === event.era
          ? before.command_seq + 1
          : 1;
      if (event.command_seq !== follows) {
        const detail = `fact ${event.command_seq} of command ${event.command_id} comes where its fact ${follows} is due`;
        findings.add('command_split', detail, placeOf(row));
      }
      before = event;
    },
  });
}
