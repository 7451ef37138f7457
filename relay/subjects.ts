/**
 * Names of facts outside the log: NATS subjects and CloudEvents types. Made here only
 * (docs/design/event-log.md "Names outside the log").
 */
export const STREAM = 'EDGEML_EVENTS';
/** Every fact. */
export const ALL_SUBJECTS = 'edgeml.events.>';
/** The log index up to which facts were told, as text; outside the stream, so nobody keeps it. */
export const GROWTH_SUBJECT = 'edgeml.notify';
/** Header with the log index, by which consumers order, and relays go on. */
export const LOG_INDEX_HEADER = 'Edgeml-Log-Index';
export const STREAM_VERSION_HEADER = 'Edgeml-Stream-Version';

const kindOf = (stream: string) => stream.slice(0, stream.indexOf('-'));

/** The model, run, rollout, … that a stream is about: a version stream's is its model. No dots, wildcards or spaces. */
const entityOf = (stream: string) =>
  stream
    .slice(stream.indexOf('-') + 1)
    .split('@')[0]!
    .replaceAll(/[.*>\s]/g, '_');

/** A fact in snake_case without its stream's own name: `RolloutPaused` of a rollout is `paused`, `StageEntered` `stage_entered`. */
export function factName(stream: string, type: string): string {
  const own = kindOf(stream);
  const snake = type.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
  return snake.startsWith(`${own}_`) ? snake.slice(own.length + 1) : snake;
}

/** `edgeml.events.rollout.42.stage_entered`. */
export function factSubject(stream: string, type: string): string {
  return `edgeml.events.${kindOf(stream)}.${entityOf(stream)}.${factName(stream, type)}`;
}

/** `dev.edgeml.rollout.stage_entered.v1`. */
export function factTypeName(stream: string, type: string, schemaVersion: number): string {
  return `dev.edgeml.${kindOf(stream)}.${factName(stream, type)}.v${schemaVersion}`;
}
