/** Pure. `modelVersion@1`: Draft → Training → Trained → Published → Deployed → Rollback. */
import Type, { type Static } from 'typebox';
import { assign, setup } from 'xstate';
import { Count, Nullable } from '../domain/events/fact.ts';
import { HealthBasis } from '../domain/events/rollout.ts';
import { ArtifactFile, versionFacts, type VersionFact } from '../domain/events/version.ts';
import type { LifecycleState, None, VersionStateName } from '../domain/states.ts';
import { tensorsShaOf } from '../domain/formats/fileFormats.ts';
import { wrap, type FactEvent, type Folded, type Machine, type StateNameOf } from './fold.ts';
import { appended } from './growing.ts';

const Context = Type.Object(
  {
    modelId: Type.String(),
    version: Type.String(),
    parent: Nullable(Type.String()),
    contractDigest: Nullable(Type.String()),
    /** Run that trains or trained it. */
    runId: Nullable(Type.String()),
    training: Nullable(versionFacts.TrainingCompleted.schema),
    /** Uploaded, not yet published. */
    uploaded: Type.Array(ArtifactFile),
    /** Safetensors of the tensors: the trained or uploaded bytes, then the published ones. */
    tensorsSha: Nullable(Type.String()),
    published: Nullable(Type.Object({ files: Type.Array(ArtifactFile), reportSha: Type.String(), at: Type.Number() })),
    /** Number of PublishRequested facts; `n` of the running or last publication. */
    publications: Count,
    requestedFormats: Type.Array(Type.String()),
    lastRefusal: Nullable(Type.Object({ n: Count, code: Type.String(), reason: Nullable(Type.String()) })),
    rolloutId: Nullable(Type.Integer()),
    /** Every rollout of this version that has started. */
    deployments: Type.Array(Type.Integer()),
    /** On what its last rollout reached everyone; null: by fixed limits, or it never did. */
    basis: Nullable(HealthBasis),
    /** A person aborted its last rollout; until it completes another one, or a person sends devices back to it. */
    isAborted: Type.Boolean(),
    rolledBack: Nullable(Type.Object({ rolloutId: Type.Integer(), reason: Type.String(), at: Type.Number() })),
    createdAt: Type.Number(),
    updatedAt: Type.Number(),
  },
  { additionalProperties: false },
);
export type VersionContext = Readonly<Static<typeof Context>>;

type Event = { [F in VersionFact as F['type']]: FactEvent & F }[VersionFact['type']];

const empty: VersionContext = {
  modelId: '',
  version: '',
  parent: null,
  contractDigest: null,
  runId: null,
  training: null,
  uploaded: [],
  tensorsSha: null,
  published: null,
  publications: 0,
  requestedFormats: [],
  lastRefusal: null,
  rolloutId: null,
  deployments: [],
  basis: null,
  isAborted: false,
  rolledBack: null,
  createdAt: 0,
  updatedAt: 0,
};

const chart = setup({
  types: { context: {} as VersionContext, events: {} as Event },
  actions: {
    touched: assign(({ event }) => ({ updatedAt: event.at })),
    deploymentStarted: assign(({ context, event }) =>
      event.type === 'DeploymentStarted'
        ? {
            updatedAt: event.at,
            rolloutId: event.data.rollout_id,
            deployments: appended(context.deployments, event.data.rollout_id, event.own),
          }
        : {},
    ),
    /** It is in force: by completion, or because devices go back to it. */
    deployedBy: assign(({ context, event }) => ({
      updatedAt: event.at,
      basis: event.type === 'DeploymentCompleted' ? (event.data.basis ?? null) : context.basis,
      rolloutId: 'rollout_id' in event.data ? event.data.rollout_id : null,
      isAborted: false,
    })),
    /** By an abort of its own rollout, or by another version that takes its place. */
    superseded: assign(({ context, event }) =>
      event.type === 'VersionSuperseded'
        ? {
            updatedAt: event.at,
            rolloutId: event.data.rollout_id,
            isAborted: context.isAborted || context.deployments.includes(event.data.rollout_id),
          }
        : {},
    ),
    rolledBack: assign(({ event }) =>
      event.type === 'VersionRolledBack'
        ? {
            updatedAt: event.at,
            rolledBack: { rolloutId: event.data.rollout_id, reason: event.data.reason, at: event.at },
          }
        : {},
    ),
    uploaded: assign(({ context, event }) =>
      event.type === 'ArtifactUploaded'
        ? {
            updatedAt: event.at,
            uploaded: [...context.uploaded, ...event.data.files],
            tensorsSha: tensorsShaOf(event.data.files, context.tensorsSha),
          }
        : {},
    ),
  },
}).createMachine({
  id: 'modelVersion',
  context: empty,
  initial: 'None',
  states: {
    None: {
      on: {
        VersionDrafted: {
          target: 'Draft',
          actions: assign(({ event }) => ({
            modelId: event.data.model_id,
            version: event.data.version,
            parent: event.data.parent,
            contractDigest: event.data.contract_digest,
            createdAt: event.at,
            updatedAt: event.at,
          })),
        },
      },
    },
    Draft: {
      on: {
        TrainingStarted: {
          target: 'Training',
          actions: assign(({ event }) => ({ runId: event.data.run_id, updatedAt: event.at })),
        },
        ArtifactUploaded: { target: 'Trained', actions: 'uploaded' },
      },
    },
    Training: {
      on: {
        TrainingCompleted: {
          target: 'Trained',
          actions: assign(({ event }) => ({
            training: event.data,
            tensorsSha: event.data.artifact_sha,
            updatedAt: event.at,
          })),
        },
        TrainingFailed: { target: 'Draft', actions: assign(({ event }) => ({ runId: null, updatedAt: event.at })) },
      },
    },
    Trained: {
      initial: 'ready',
      states: {
        ready: {
          on: {
            ArtifactUploaded: { actions: 'uploaded' },
            PublishRequested: {
              target: 'publishing',
              actions: assign(({ event }) => ({
                publications: event.data.n,
                requestedFormats: event.data.formats,
                updatedAt: event.at,
              })),
            },
          },
        },
        publishing: {
          on: {
            PublishRefused: {
              target: 'ready',
              actions: assign(({ event }) => ({
                lastRefusal: { n: event.data.n, code: event.data.code, reason: event.data.reason ?? null },
                updatedAt: event.at,
              })),
            },
            VersionPublished: {
              target: '#modelVersion.Published',
              actions: assign(({ event }) => ({
                published: { files: event.data.files, reportSha: event.data.report_sha, at: event.at },
                tensorsSha: event.data.tensors_sha,
                updatedAt: event.at,
              })),
            },
          },
        },
      },
    },
    Published: { on: { DeploymentStarted: { target: 'Deployed', actions: 'deploymentStarted' } } },
    Deployed: {
      initial: 'rolling',
      states: {
        rolling: {
          on: {
            DeploymentCompleted: { target: 'live', actions: 'deployedBy' },
            VersionSuperseded: { target: 'standby', actions: 'superseded' },
            VersionRolledBack: { target: '#modelVersion.Rollback', actions: 'rolledBack' },
          },
        },
        live: {
          on: {
            VersionSuperseded: { target: 'standby', actions: 'superseded' },
            VersionRolledBack: { target: '#modelVersion.Rollback', actions: 'rolledBack' },
          },
        },
        standby: {
          on: {
            VersionRestored: { target: 'live', actions: 'deployedBy' },
            DeploymentStarted: { target: 'rolling', actions: 'deploymentStarted' },
          },
        },
      },
    },
    Rollback: { entry: 'touched' },
  },
});

export type VersionState = Folded<VersionContext, VersionStateName | None>;
export const versionMachine: Machine<VersionContext, VersionState['state']> = wrap<
  VersionContext,
  StateNameOf<typeof chart, VersionState['state']>
>('modelVersion@1', chart, Context);

/** The product's word for each state. */
const LIFECYCLE: Readonly<Record<VersionStateName, LifecycleState>> = {
  Draft: 'Draft',
  Training: 'Training',
  'Trained.ready': 'Trained',
  'Trained.publishing': 'Trained',
  Published: 'Published',
  'Deployed.rolling': 'Deployed',
  'Deployed.live': 'Deployed',
  'Deployed.standby': 'Deployed',
  Rollback: 'Rollback',
};
export const lifecycleState = (state: VersionStateName): LifecycleState => LIFECYCLE[state];

type Usable = Extract<VersionStateName, 'Published' | `Deployed.${string}`>;
/** The state of a version that devices may not be told. */
export type Unusable = Exclude<VersionStateName | None, Usable>;

const USABLE: { readonly [S in VersionStateName]: S extends Usable ? true : false } = {
  Draft: false,
  Training: false,
  'Trained.ready': false,
  'Trained.publishing': false,
  Published: true,
  'Deployed.rolling': true,
  'Deployed.live': true,
  'Deployed.standby': true,
  Rollback: false,
};
/** Whether devices may be told this version: it was published and is not rolled back. */
export const isUsable = (state: VersionStateName | None): state is Usable => state !== 'None' && USABLE[state];

/** What leads a version to where devices may be told it, from its state. */
export function howToPublish(state: Unusable): string {
  switch (state) {
    case 'Rollback':
      return 'choose another version; a rolled-back one never returns';
    case 'Training':
      return 'wait for its training run, then publish it';
    case 'Trained.ready':
      return 'publish it';
    case 'Trained.publishing':
      return 'wait until it is published';
    case 'None':
    case 'Draft':
      return 'attach its weights or train it, then publish it';
    default:
      return state satisfies never;
  }
}
