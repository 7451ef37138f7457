/** Every stored fact fits its schema, and its own machine accepts it where it stands. */
import { decode, type Decoded as Read } from '../../domain/events/codec.ts';
import type { AnyFact } from '../../domain/events/streams.ts';
import { parseStream } from '../../domain/events/streams.ts';
import type { Folded, Machine } from '../../machines/fold.ts';
import type { OwnLists } from '../../machines/growing.ts';
import { machineOf, machinesByName } from '../../machines/registry.ts';
import {
  createFindings,
  subjectOfRow,
  type DecodedRow,
  type FactRow,
  type Findings,
  type PresentRow,
} from '../finding.ts';

/** The fact of a row, or why it is none. */
export function readFact({ stream_id, type, schema_version, data }: FactRow['event']): Read {
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch (error) {
    return { ok: false, pointer: '', why: String(error) };
  }
  return decode(stream_id, type, schema_version, json);
}

export function checkDecode(): Findings & { see(row: PresentRow): DecodedRow | undefined } {
  const findings = createFindings('decode');
  return Object.assign(findings, {
    see(row: PresentRow): DecodedRow | undefined {
      const { event } = row;
      const read = readFact(event);
      if (read.ok) return { row, fact: read.fact };
      findings.add(
        'undecodable',
        `${event.type} v${event.schema_version} at "${read.pointer}": ${read.why}`,
        subjectOfRow(row),
      );
      return undefined;
    },
  });
}

const familyOf = (machine: string) => machine.split('@')[0];

/**
 * Folds one stream. At its first fault it is given up: what follows proves nothing.
 *
 * @returns sees its facts in log order; without `fact`, one that `decode` has refused
 */
export function foldChecked(findings: Findings): (row: FactRow, fact: AnyFact | undefined) => void {
  let state: { readonly machine: Machine<unknown>; readonly folded: Folded<unknown> } | undefined;
  let isGivenUp = false;
  const own: OwnLists = new WeakMap(); // nobody else sees what lies between two facts
  return (row, fact) => {
    if (isGivenUp) return;
    isGivenUp = true; // unless it comes to the end of this
    if (!fact) return;
    const { event } = row;
    const machine = machinesByName.get(event.machine);
    const kind = parseStream(event.stream_id)?.kind;
    if (!machine || !kind || familyOf(event.machine) !== familyOf(machineOf[kind].name)) {
      findings.add(
        'unknown_machine',
        `${event.machine} folds no ${kind ?? 'known'} stream in this build`,
        subjectOfRow(row),
      );
      return;
    }
    const before = state?.folded ?? machine.initial();
    const folded = machine.step(before, {
      type: fact.type,
      data: fact.data,
      at: event.recorded_at.getTime(),
      eventId: event.event_id,
      version: event.stream_version,
      own,
    });
    if (folded.divergence) {
      const legal = machine.statesAccepting(event.type).join(', ') || 'no state';
      const detail = `${machine.name} refuses ${event.type} in ${before.state} (legal in: ${legal}; guards of the chart count)`;
      findings.add('diverged', detail, subjectOfRow(row));
      return;
    }
    state = { machine, folded };
    isGivenUp = false;
  };
}
