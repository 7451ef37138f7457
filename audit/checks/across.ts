/** What must hold between streams: facts that belong together are one append, and a model has one stable version. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { parseStream, type AnyFact } from '../../domain/events/streams.ts';
import { createFindings, subjectOfRow, type DecodedRow, type Findings, type PresentRow } from '../finding.ts';
import { checkWayBack } from './wayBack.ts';

/** Small: one is kept for each model that something was released of. */
interface ModelView {
  readonly stable: Semver | null;
  /** Versions that are Deployed.live, the last to become so at the end. */
  readonly live: readonly string[];
  /** Rollouts that have started and not ended, with the index of their start. */
  readonly rollouts: readonly { readonly id: number; readonly index: number }[];
}
const UNRELEASED: ModelView = { stable: null, live: [], rollouts: [] };

type TypeOf = AnyFact['type'];
type Of<T extends TypeOf> = Extract<AnyFact, { type: T }>;

/** A fact that must come with others in its append. */
interface Together {
  readonly code: string;
  readonly needs: (row: DecodedRow, group: readonly DecodedRow[], of: RolloutsSeen) => string[];
}

/** What earlier appends say of a rollout. */
interface RolloutsSeen {
  modelOf(rollout: number): string | undefined;
  /** Another rollout of the same version was rolled back before: the version is marked once. */
  isMarkedBefore(rollout: number): boolean;
}

const isOf = <T extends TypeOf>(fact: AnyFact, type: T): fact is Of<T> => fact.type === type;
const find = <T extends TypeOf>(
  group: readonly DecodedRow[],
  type: T,
  fits: (fact: Of<T>, stream: string) => boolean,
) => group.some(({ row, fact }) => isOf(fact, type) && fits(fact, row.event.stream_id));

const versionStream = (model: string | undefined, version: Semver) => `version-${model ?? '?'}@${version}`;
const rolloutOf = (stream: string) => {
  const parsed = parseStream(stream);
  return parsed?.kind === 'rollout' ? parsed.rolloutId : undefined;
};
const ifNot = (holds: boolean, what: string) => (holds ? [] : [what]);

/** What each fact misses in its append. Read as: "a RolloutRolledBack comes with …". */
const TOGETHER: Partial<Record<TypeOf, Together>> = {
  RolloutRolledBack: {
    code: 'rollback_split',
    needs({ row, fact }, group, { modelOf, isMarkedBefore }) {
      const rollout = rolloutOf(row.event.stream_id);
      const target = isOf(fact, 'RolloutRolledBack') ? fact.data.target : null;
      const model = rollout === undefined ? undefined : modelOf(rollout);
      return [
        ...ifNot(
          find(group, 'VersionRolledBack', (f) => f.data.rollout_id === rollout) ||
            (rollout !== undefined && isMarkedBefore(rollout)),
          'VersionRolledBack',
        ),
        ...ifNot(
          target === null ||
            find(group, 'StableVersionRestored', (f, s) => f.data.version === target && s === `model-${model}`),
          `StableVersionRestored of ${target}`,
        ),
      ];
    },
  },
  VersionRolledBack: {
    code: 'rollback_split',
    needs({ fact }, group) {
      const id = isOf(fact, 'VersionRolledBack') ? fact.data.rollout_id : undefined;
      return ifNot(
        find(group, 'RolloutRolledBack', (_, s) => rolloutOf(s) === id),
        `RolloutRolledBack of rollout ${id}`,
      );
    },
  },
  StableVersionRestored: {
    code: 'rollback_split',
    needs({ fact }, group) {
      const id = isOf(fact, 'StableVersionRestored') ? fact.data.rollout_id : undefined;
      return ifNot(
        find(group, 'RolloutRolledBack', (_, s) => rolloutOf(s) === id) ||
          find(group, 'RolloutAborted', (_, s) => rolloutOf(s) === id),
        `RolloutRolledBack or RolloutAborted of rollout ${id}`,
      );
    },
  },
  VersionPublished: {
    code: 'publication_split',
    needs({ row }, group) {
      const of = parseStream(row.event.stream_id);
      if (of?.kind !== 'version') return [];
      const isListed = find(
        group,
        'VersionListed',
        (f, s) => f.data.version === of.version && s === `model-${of.modelId}`,
      );
      return ifNot(isListed, `VersionListed of ${of.version}`);
    },
  },
  VersionListed: {
    code: 'publication_split',
    needs({ row, fact }, group) {
      const of = parseStream(row.event.stream_id);
      if (of?.kind !== 'model' || !isOf(fact, 'VersionListed')) return [];
      const stream = versionStream(of.modelId, fact.data.version);
      return ifNot(
        find(group, 'VersionPublished', (_, s) => s === stream),
        `VersionPublished on ${stream}`,
      );
    },
  },
  RolloutStarted: {
    code: 'start_split',
    needs({ row }, group) {
      const id = rolloutOf(row.event.stream_id);
      return [
        ...ifNot(
          find(group, 'StageEntered', (f, s) => f.data.stage === 0 && rolloutOf(s) === id),
          'StageEntered 0',
        ),
        ...ifNot(
          find(group, 'DeploymentStarted', (f) => f.data.rollout_id === id),
          'DeploymentStarted',
        ),
      ];
    },
  },
  RolloutCompleted: {
    code: 'completion_split',
    needs({ row }, group) {
      const id = rolloutOf(row.event.stream_id);
      return [
        ...ifNot(
          find(group, 'DeploymentCompleted', (f) => f.data.rollout_id === id),
          'DeploymentCompleted',
        ),
        ...ifNot(
          find(group, 'StableVersionChanged', (f) => f.data.rollout_id === id),
          'StableVersionChanged',
        ),
      ];
    },
  },
  DeploymentCompleted: {
    code: 'completion_split',
    needs({ row, fact }, group) {
      const of = parseStream(row.event.stream_id);
      if (of?.kind !== 'version' || !isOf(fact, 'DeploymentCompleted')) return [];
      const isStable = find(
        group,
        'StableVersionChanged',
        (f, s) => f.data.version === of.version && s === `model-${of.modelId}`,
      );
      return ifNot(isStable, `StableVersionChanged to ${of.version}`);
    },
  },
  StableVersionChanged: {
    code: 'completion_split',
    needs({ row, fact }, group) {
      const of = parseStream(row.event.stream_id);
      if (of?.kind !== 'model' || !isOf(fact, 'StableVersionChanged')) return [];
      const stream = versionStream(of.modelId, fact.data.version);
      return ifNot(
        find(group, 'DeploymentCompleted', (_, s) => s === stream),
        `DeploymentCompleted on ${stream}`,
      );
    },
  },
};

export interface Across extends Findings {
  /** @param decoded undefined where the fact cannot be read: its append is not judged, `decode` has said why */
  see(row: PresentRow, decoded: DecodedRow | undefined): void;
  /** @param isWhole whether the last append ends at the head; a part of it may wait for its place */
  end(isWhole: boolean): void;
}

/** Judges each append when it is whole, by facts only, so that it depends on no machine. */
export function checkAcross(): Across {
  const findings = createFindings('across');
  const wayBack = checkWayBack(findings);
  const models = new Map<string, ModelView>();
  /** Index at which the version of a stream was marked. */
  const markedAt = new Map<string, number>();
  let group: DecodedRow[] = [];
  let command: string | undefined;
  let isReadable = true;

  const viewOf = (modelId: ModelId): ModelView => models.get(modelId) ?? UNRELEASED;
  const change = (modelId: ModelId, to: Partial<ModelView>) => {
    models.set(modelId, { ...viewOf(modelId), ...to });
    return modelId;
  };

  /** @returns the model that the fact may have changed */
  function apply({ row, fact }: DecodedRow): string | undefined {
    const of = parseStream(row.event.stream_id);
    switch (fact.type) {
      case 'RolloutStarted':
      case 'RolloutCompleted':
      case 'RolloutAborted':
      case 'RolloutRolledBack': {
        if (of?.kind !== 'rollout') return undefined;
        const id = of.rolloutId;
        const model = wayBack.rollout(id)?.modelId;
        if (model === undefined) return undefined;
        const others = viewOf(model).rollouts.filter((r) => r.id !== id);
        const started = { id, index: row.log_index };
        return change(model, { rollouts: fact.type === 'RolloutStarted' ? [...others, started] : others });
      }
      case 'StableVersionChanged':
      case 'StableVersionRestored':
        return of?.kind === 'model' ? change(of.modelId, { stable: fact.data.version }) : undefined;
      case 'DeploymentCompleted':
      case 'VersionRestored': {
        if (of?.kind !== 'version') return undefined;
        const { live } = viewOf(of.modelId);
        return change(of.modelId, { live: live.includes(of.version) ? live : [...live, of.version] });
      }
      case 'VersionSuperseded':
      case 'VersionRolledBack': {
        if (of?.kind !== 'version') return undefined;
        if (fact.type === 'VersionRolledBack' && !markedAt.has(row.event.stream_id)) {
          markedAt.set(row.event.stream_id, row.log_index);
        }
        return change(of.modelId, { live: viewOf(of.modelId).live.filter((v) => v !== of.version) });
      }
      default:
        return undefined;
    }
  }

  const versionOf = (rollout: number) => {
    const of = wayBack.rollout(rollout);
    return of ? versionStream(of.modelId, of.version) : '';
  };
  const seen: RolloutsSeen = {
    modelOf: (rollout) => wayBack.rollout(rollout)?.modelId,
    isMarkedBefore: (rollout) => (markedAt.get(versionOf(rollout)) ?? Infinity) < (group[0]?.row.log_index ?? 0),
  };

  function judgeTogether(): void {
    for (const one of group) {
      const rule = TOGETHER[one.fact.type];
      const missing = rule?.needs(one, group, seen) ?? [];
      if (!rule || missing.length === 0) continue;
      const { row, fact } = one;
      findings.add(
        rule.code,
        `${fact.type} by ${row.event.command_id} came without ${missing.join(' and ')}`,
        subjectOfRow(row),
      );
    }
  }

  function judgeModel(modelId: ModelId, last: DecodedRow): void {
    const { stable, live, rollouts } = viewOf(modelId);
    const others = live.filter((v) => v !== stable);
    if (others.length > 0) {
      const detail = `model ${modelId} has stable ${stable ?? 'none'}, and ${others.join(', ')} is live`;
      findings.add('not_one_stable', detail, subjectOfRow(last.row));
    }
    if (rollouts.length > 1) {
      const which = rollouts.map(({ id, index }) => `${id} (started at ${index})`).join(', ');
      findings.add('two_live_rollouts', `model ${modelId} has live rollouts ${which}`, subjectOfRow(last.row));
    }
  }

  function close(isWhole: boolean): void {
    const last = group.at(-1);
    if (isWhole && isReadable) wayBack.judge(group);
    group.forEach(wayBack.see);
    const touched = new Set(group.map(apply).filter((m) => m !== undefined));
    if (isWhole && isReadable && last) {
      judgeTogether();
      for (const modelId of touched) judgeModel(modelId, last);
    }
    group = [];
    isReadable = true;
  }

  return Object.assign(findings, {
    see(row: PresentRow, decoded: DecodedRow | undefined): void {
      if (command !== row.event.command_id) close(true);
      command = row.event.command_id;
      if (decoded) group.push(decoded);
      else isReadable = false;
    },
    end: close,
  });
}
