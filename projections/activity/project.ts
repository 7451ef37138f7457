/** Pure. `activity`: every fact, by whom and when, findable by kind, type, model and actor. Its data stays in the log. */
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { learnOrg, modelOrgs, needOrg, orgOfModel } from '../modelOrgs.ts';
import { add, need, put, type Change, type Projection, type Rows } from '../table.ts';
import { activityRows, owners } from './schema.ts';

/** The model named by the fact itself or by its stream. */
function namedModel({ stream, fact }: SequencedEvent): string | undefined {
  const parsed = parseStream(stream);
  if (parsed?.kind === 'model' || parsed?.kind === 'version') return parsed.modelId;
  if (fact.type === 'RolloutCreated') return fact.data.model_id;
  if (fact.type === 'TrainingRequested') return fact.data.spec.model_id;
  return undefined;
}

function project(event: SequencedEvent, rows: Rows): Change[] {
  const kind = parseStream(event.stream)?.kind;
  const named = namedModel(event);
  const known = named === undefined ? rows.get(owners, event.stream) : undefined;
  const modelId = named ?? known?.model_id;
  if (kind === undefined || modelId === undefined) throw new Error(`no fact says which model ${event.stream} is of`);
  const orgId =
    event.fact.type === 'ModelRegistered' ? event.fact.data.org_id : (known?.org_id ?? orgOfModel(rows, modelId));
  const owner = kind === 'rollout' || kind === 'training' ? named : undefined;
  return [
    ...learnOrg(event),
    ...(owner === undefined ? [] : [put(owners, { stream: event.stream, org_id: orgId, model_id: owner })]),
    add(activityRows, {
      event_id: event.id,
      kind,
      type: event.fact.type,
      stream: event.stream,
      stream_version: event.version,
      org_id: orgId,
      model_id: modelId,
      actor_kind: event.actor.kind,
      actor_id: event.actor.id,
      command_id: event.commandId,
      recorded_at: event.recordedAt,
    }),
  ];
}

export const activity: Projection = {
  name: 'activity',
  version: 4,
  tables: [activityRows, owners, modelOrgs],
  needs(event) {
    const kind = parseStream(event.stream)?.kind;
    const named = namedModel(event);
    return [
      ...(kind === 'rollout' || kind === 'training' ? [need(owners, event.stream)] : []),
      ...(named === undefined ? [] : [needOrg(named)]),
    ];
  },
  project,
  // Each fact is a row of its own.
  subjectOf: ({ stream, version }) => `${stream}@${version}`,
};
