/**
 * Where devices go when a rollout ends badly, by facts only. A live one leaves what is stable as it is. Where the stable version itself
 * leaves, the newest other version comes back that was stable and that nobody aborted or rolled back; none: nothing is stable. A person
 * may name another one that was stable, also an aborted one, never a rolled-back one.
 */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { parseStream, type AnyFact } from '../../domain/events/streams.ts';
import { subjectOfRow, type DecodedRow, type Findings } from '../finding.ts';

/** As the facts so far say. */
export interface RolloutSeen {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly phase: 'pending' | 'live' | 'completed' | 'ended';
}

/** Small: one is kept for each model that something was released of. */
interface Model {
  readonly stable: Semver | null;
  /** Every version that was stable, the most recent last. */
  readonly history: readonly string[];
  readonly aborted: readonly string[];
  readonly rolledBack: readonly string[];
}
const NOTHING: readonly string[] = [];
const UNRELEASED: Model = { stable: null, history: NOTHING, aborted: NOTHING, rolledBack: NOTHING };

const without = (list: readonly string[], one: string) => (list.includes(one) ? list.filter((v) => v !== one) : list);
const withLast = (list: readonly string[], one: string) => [...without(list, one), one];

export interface WayBack {
  /** Judges a whole append, before its facts are seen. */
  judge(group: readonly DecodedRow[]): void;
  see(row: DecodedRow): void;
  rollout(id: number): RolloutSeen | undefined;
}

/** @param findings get `wrong_way_back` */
export function checkWayBack(findings: Findings): WayBack {
  const rollouts = new Map<number, RolloutSeen>();
  const models = new Map<string, Model>();
  const modelOf = (id: string): Model => models.get(id) ?? UNRELEASED;
  const change = (id: string, to: Partial<Model>) => void models.set(id, { ...modelOf(id), ...to });

  function judge(group: readonly DecodedRow[]): void {
    for (const one of group) {
      const { fact, row } = one;
      if (fact.type !== 'RolloutRolledBack' && fact.type !== 'RolloutAborted') continue;
      const of = parseStream(row.event.stream_id);
      const rollout = of?.kind === 'rollout' ? rollouts.get(of.rolloutId) : undefined;
      // One that never started was told to nobody; one that is unknown or has ended, the machine refuses.
      if (!rollout || (rollout.phase !== 'live' && rollout.phase !== 'completed')) continue;
      const model = modelOf(rollout.modelId);
      const to = fact.type === 'RolloutRolledBack' ? fact.data.target : stableAfter(group, rollout.modelId, model);
      const isNamed = fact.type === 'RolloutRolledBack' && fact.data.named === true;
      const isAbortOfLive = fact.type === 'RolloutAborted' && rollout.phase === 'live';
      const right = model.stable === rollout.version && !isAbortOfLive ? newestOther(model) : model.stable;
      const wrong = isNamed
        ? whyNotNamed(model, to)
        : to === right
          ? undefined
          : `it should be ${right ?? 'no version'}`;
      if (wrong === undefined) continue;
      const detail = `the end of rollout ${of?.kind === 'rollout' ? of.rolloutId : '?'} of ${rollout.version} puts ${to ?? 'no version'} in force: ${wrong}`;
      findings.add('wrong_way_back', detail, subjectOfRow(row));
    }
  }

  function see({ row, fact }: DecodedRow): void {
    const of = parseStream(row.event.stream_id);
    if (of?.kind === 'rollout') seeRollout(of.rolloutId, fact);
    if (of?.kind === 'version') seeVersion(of, fact);
    if (of?.kind !== 'model' || (fact.type !== 'StableVersionChanged' && fact.type !== 'StableVersionRestored')) return;
    const { version: stable } = fact.data;
    const { history } = modelOf(of.modelId);
    change(of.modelId, { stable, history: stable === null ? history : withLast(history, stable) });
  }

  function seeRollout(id: number, fact: AnyFact): void {
    if (fact.type === 'RolloutCreated') {
      rollouts.set(id, { modelId: fact.data.model_id, version: fact.data.version, phase: 'pending' });
    }
    const phase = PHASES[fact.type];
    const rollout = rollouts.get(id);
    if (phase && rollout) rollouts.set(id, { ...rollout, phase });
  }

  function seeVersion({ modelId, version }: { modelId: ModelId; version: Semver }, fact: AnyFact): void {
    const { aborted, rolledBack } = modelOf(modelId);
    if (fact.type === 'VersionRolledBack') change(modelId, { rolledBack: withLast(rolledBack, version) });
    if ((fact.type === 'DeploymentCompleted' || fact.type === 'VersionRestored') && aborted.includes(version)) {
      change(modelId, { aborted: without(aborted, version) });
    }
    if (fact.type !== 'VersionSuperseded') return;
    // Another version's rollout takes its place; one of its own supersedes it only by being aborted.
    const by = rollouts.get(fact.data.rollout_id);
    if (by?.modelId === modelId && by.version === version) change(modelId, { aborted: withLast(aborted, version) });
  }

  return { judge, see, rollout: (id) => rollouts.get(id) };
}

const PHASES: Partial<Record<AnyFact['type'], RolloutSeen['phase']>> = {
  RolloutStarted: 'live',
  RolloutCompleted: 'completed',
  RolloutAborted: 'ended',
  RolloutRolledBack: 'ended',
};

/** The model's stable version once the append is in. */
function stableAfter(group: readonly DecodedRow[], modelId: ModelId, { stable }: Model): string | null {
  const restored = group.find(
    ({ row, fact }) => fact.type === 'StableVersionRestored' && row.event.stream_id === `model-${modelId}`,
  );
  return restored?.fact.type === 'StableVersionRestored' ? restored.fact.data.version : stable;
}

const newestOther = ({ stable, history, aborted, rolledBack }: Model) =>
  history.findLast((v) => v !== stable && !aborted.includes(v) && !rolledBack.includes(v)) ?? null;

function whyNotNamed({ history, rolledBack }: Model, to: string | null): string | undefined {
  if (to === null) return 'a person named none';
  if (rolledBack.includes(to)) return 'it was rolled back before';
  return history.includes(to) ? undefined : 'it never was stable';
}
