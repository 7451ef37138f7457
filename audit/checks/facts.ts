/** Every stored fact fits its schema, and its own machine accepts it where it stands. */
import { decode } from '../../domain/events/codec.ts';
import { parseStream } from '../../domain/events/streams.ts';
import type { Folded, Machine } from '../../machines/fold.ts';
import { machineOf, machinesByName } from '../../machines/registry.ts';
import { createFindings, placeOf, type DecodedRow, type Findings, type PresentRow } from '../finding.ts';

function parsed(
  text: string,
): { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly why: string } {
  try {
    return { ok: true, data: JSON.parse(text) };
  } catch (error) {
    return { ok: false, why: String(error) };
  }
}

export function checkDecode(): Findings & { see(row: PresentRow): DecodedRow | undefined } {
  const findings = createFindings('decode');
  return Object.assign(findings, {
    see(row: PresentRow): DecodedRow | undefined {
      const { event } = row;
      const json = parsed(event.data);
      const decoded = json.ok
        ? decode(event.stream_id, event.type, event.schema_version, json.data)
        : { ok: false as const, pointer: '', why: json.why };
      if (decoded.ok) return { row, fact: decoded.fact };
      findings.add(
        'undecodable',
        `${event.type} v${event.schema_version} at "${decoded.pointer}": ${decoded.why}`,
        placeOf(row),
      );
      return undefined;
    },
  });
}

const familyOf = (machine: string) => machine.split('@')[0];

/** `row` undecoded: its stream can be folded no further, which `decode` has said already. */
export function checkDivergence(): Findings & { see(row: PresentRow, decoded: DecodedRow | undefined): void } {
  const findings = createFindings('divergence');
  /** Undefined: the stream is given up; its first fault is reported. */
  const states = new Map<string, { machine: Machine<unknown>; folded: Folded<unknown> } | undefined>();
  return Object.assign(findings, {
    see(row: PresentRow, decoded: DecodedRow | undefined): void {
      const { event } = row;
      const stream = event.stream_id;
      if (states.has(stream) && states.get(stream) === undefined) return;
      if (!decoded) {
        states.set(stream, undefined);
        return;
      }
      const machine = machinesByName.get(event.machine);
      const kind = parseStream(stream)?.kind;
      if (!machine || !kind || familyOf(event.machine) !== familyOf(machineOf[kind].name)) {
        findings.add(
          'unknown_machine',
          `${event.machine} folds no ${kind ?? 'known'} stream in this build`,
          placeOf(row),
        );
        states.set(stream, undefined);
        return;
      }
      const before = states.get(stream)?.folded ?? machine.initial();
      const folded = machine.step(before, {
        type: decoded.fact.type,
        data: decoded.fact.data,
        at: event.recorded_at.getTime(),
        eventId: event.event_id,
        version: event.stream_version,
      });
      if (folded.divergence) {
        const legal = machine.statesAccepting(event.type).join(', ') || 'no state';
        const detail = `${machine.name} refuses ${event.type} in ${before.state} (legal in: ${legal}; guards of the chart count)`;
        findings.add('diverged', detail, placeOf(row));
        states.set(stream, undefined);
        return;
      }
      states.set(stream, { machine, folded });
    },
  });
}
