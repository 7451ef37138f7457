/** Pure. The one choke point through which stored JSON becomes a typed fact, and a fact is checked before it is stored. */
import { Compile, type Validator } from 'typebox/compile';
import { modelFacts } from './model.ts';
import { rolloutFacts } from './rollout.ts';
import { parseStream, type AnyFact, type FactsByKind, type ParsedStream, type StreamKind } from './streams.ts';
import { trainingFacts } from './training.ts';
import { versionFacts } from './version.ts';
import type { FactDef } from './fact.ts';

/** Every fact there is, by stream kind. */
export const factsByKind: Readonly<Record<StreamKind, Readonly<Record<string, FactDef>>>> = {
  model: modelFacts,
  version: versionFacts,
  training: trainingFacts,
  rollout: rolloutFacts,
};

const validators = new Map<FactDef, Validator>();
function validatorOf(def: FactDef): Validator {
  let validator = validators.get(def);
  if (!validator) validators.set(def, (validator = Compile(def.schema)));
  return validator;
}

export type Decoded =
  | { readonly ok: true; readonly fact: AnyFact }
  | { readonly ok: false; readonly pointer: string; readonly why: string };

/**
 * Checks `data` against the schema of (`stream` kind, `type`, `schemaVersion`). Never throws.
 *
 * @returns the fact, or the JSON pointer of the first member that does not fit and why
 */
export function decode(stream: string, type: string, schemaVersion: number, data: unknown): Decoded {
  const parsed = parseStream(stream);
  if (!parsed) return { ok: false, pointer: '', why: `stream ${stream} is of no kind we know` };
  const def = factsByKind[parsed.kind][type];
  if (!def) return { ok: false, pointer: '', why: `${type} is no fact of a ${parsed.kind} stream` };
  if (def.schemaVersion !== schemaVersion) {
    return { ok: false, pointer: '', why: `${type} has no schema version ${schemaVersion}` };
  }
  const validator = validatorOf(def);
  if (validator.Check(data)) return { ok: true, fact: { type, data } as AnyFact };
  const first = validator.Errors(data).at(-1);
  return { ok: false, pointer: first?.instancePath ?? '', why: first?.message ?? 'does not fit its schema' };
}

/** A fact with the parts of its stream's name: `kind` says which facts it may be. */
export type Tagged = { [K in StreamKind]: ParsedOf<K> & { readonly fact: FactsByKind[K] } }[StreamKind];
type ParsedOf<K extends StreamKind> = Extract<ParsedStream, { kind: K }>;

/** An event for readers of several kinds. Undefined for a stream of no kind. @param event that {@link decode} has admitted */
export function tagged({ stream, fact }: { readonly stream: string; readonly fact: AnyFact }): Tagged | undefined {
  const of = parseStream(stream);
  // `decode` admits to a stream only facts of its kind.
  return of && ({ ...of, fact } as Tagged);
}

/** Schema version under which a fact is written now. @throws Error for a type its stream does not have (a bug) */
export function currentSchemaVersion(stream: string, type: string): number {
  const parsed = parseStream(stream);
  const def = parsed && factsByKind[parsed.kind][type];
  if (!def) throw new Error(`${type} is no fact of stream ${stream}`);
  return def.schemaVersion;
}
