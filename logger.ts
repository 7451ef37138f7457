/**
 * The log of a process, as JSON lines. Whoever hands it an error under any name sees type, message, stack and causes: pino alone
 * does that for `err` and prints `{}` for every other member.
 */
import pino, { type DestinationStream, type Logger } from 'pino';

/** Causes of causes that are told; a chain may be a circle. */
const DEPTH = 8;
/** Errors of an AggregateError that are told. */
const MOST = 20;

type Described = Readonly<Record<string, unknown>>;

/** Codes and names that libraries add, such as Postgres' `code` and `constraint`; never whole objects. */
function details(error: Error): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(error))
    if (['string', 'number', 'boolean'].includes(typeof value)) kept[name] = value;
  return kept;
}

function describe(thrown: unknown, depth: number): unknown {
  if (!(thrown instanceof Error)) return depth === DEPTH && thrown === undefined ? 'undefined' : thrown;
  const described: Record<string, unknown> = {
    ...details(thrown),
    type: thrown.name,
    message: thrown.message,
    stack: thrown.stack,
  };
  if (depth === 0) return described;
  if (thrown.cause !== undefined) described['cause'] = describe(thrown.cause, depth - 1);
  if (thrown instanceof AggregateError)
    described['errors'] = thrown.errors.slice(0, MOST).map((one) => describe(one, depth - 1));
  return described;
}

/** What was thrown, as JSON can hold it. Anything can be thrown: what is no error stays as it is. Never throws. */
export function errorDetail(thrown: unknown): unknown {
  try {
    return describe(thrown, DEPTH);
  } catch {
    return { type: typeof thrown, message: 'an error that cannot be read' };
  }
}

/** Each member that is an error, and whatever was thrown as `err` or `error`. */
const withErrors = (members: Described): Described =>
  Object.fromEntries(
    Object.entries(members).map(([name, value]) => [
      name,
      value instanceof Error || name === 'err' || name === 'error' ? errorDetail(value) : value,
    ]),
  );

/** @param to standard output unless given */
export function createLogger(name: string, level: string, to: DestinationStream = pino.destination(1)): Logger {
  const options = {
    name,
    level,
    formatters: { log: withErrors },
    // Described above; pino's own serializer would take the description for an error and lose its causes.
    serializers: { err: (described: unknown) => described },
  };
  return pino(options, to);
}
