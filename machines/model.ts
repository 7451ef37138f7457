/** Pure. `model@1`: the catalogue entry; which versions are listed, which one is stable, which ones ever were. */
import Type, { type Static } from 'typebox';
import { assign, setup } from 'xstate';
import { Nullable } from '../domain/events/fact.ts';
import { Architecture, modelFacts, type ModelFact } from '../domain/events/model.ts';
import type { ModelStateName, None } from '../domain/states.ts';
import { monotoneConflict, smallestLegal } from '../domain/semver.ts';
import { already, decideFacts, guard, refuseByGuards, type Decision } from './decision.ts';
import { wrap, type FactEvent, type Folded, type Machine, type StateNameOf } from './fold.ts';
import { appended, movedToEnd } from './growing.ts';

const Context = Type.Object(
  {
    orgId: Type.String(),
    name: Type.String(),
    framework: Type.String(),
    useCase: Type.String(),
    description: Type.String(),
    contract: modelFacts.ModelContractDeclared.schema.properties.contract,
    contractDigest: Nullable(Type.String()),
    architecture: Nullable(Architecture),
    /** Published versions, in the order of their listing. */
    listed: Type.Array(Type.String()),
    stable: Nullable(Type.String()),
    /** Every version that was ever stable, the most recently stable last, without repeats. */
    stableHistory: Type.Array(Type.String()),
    createdAt: Type.Number(),
    updatedAt: Type.Number(),
  },
  { additionalProperties: false },
);
export type ModelContext = Readonly<Static<typeof Context>>;

type Event = { [F in ModelFact as F['type']]: FactEvent & F }[ModelFact['type']];

const empty: ModelContext = {
  orgId: '',
  name: '',
  framework: '',
  useCase: '',
  description: '',
  contract: null,
  contractDigest: null,
  architecture: null,
  listed: [],
  stable: null,
  stableHistory: [],
  createdAt: 0,
  updatedAt: 0,
};

const chart = setup({
  types: { context: {} as ModelContext, events: {} as Event },
}).createMachine({
  id: 'model',
  context: empty,
  initial: 'None',
  states: {
    None: {
      on: {
        ModelRegistered: {
          target: 'Registered',
          actions: assign(({ event }) => ({
            orgId: event.data.org_id,
            name: event.data.name,
            framework: event.data.framework,
            useCase: event.data.use_case,
            description: event.data.description,
            createdAt: event.at,
            updatedAt: event.at,
          })),
        },
      },
    },
    Registered: {
      on: {
        ModelContractDeclared: {
          actions: assign(({ event }) => ({
            contract: event.data.contract,
            contractDigest: event.data.digest,
            architecture: event.data.architecture ?? null,
            updatedAt: event.at,
          })),
        },
        VersionListed: {
          actions: assign(({ context, event }) => ({
            listed: appended(context.listed, event.data.version, event.own),
            updatedAt: event.at,
          })),
        },
        StableVersionChanged: {
          actions: assign(({ context, event }) => ({
            stable: event.data.version,
            stableHistory: movedToEnd(context.stableHistory, event.data.version, event.own),
            updatedAt: event.at,
          })),
        },
        StableVersionRestored: {
          actions: assign(({ context, event }) => ({
            stable: event.data.version,
            stableHistory:
              event.data.version === null
                ? context.stableHistory
                : movedToEnd(context.stableHistory, event.data.version, event.own),
            updatedAt: event.at,
          })),
        },
      },
    },
  },
});

export type ModelState = Folded<ModelContext, ModelStateName | None>;
export const modelMachine: Machine<ModelContext, ModelState['state']> = wrap<
  ModelContext,
  StateNameOf<typeof chart, ModelState['state']>
>('model@1', chart, Context);

export type ModelCommand =
  | { type: 'register'; data: Extract<ModelFact, { type: 'ModelRegistered' }>['data'] }
  | { type: 'declareContract'; data: Extract<ModelFact, { type: 'ModelContractDeclared' }>['data'] }
  | { type: 'listVersion'; version: string }
  | { type: 'changeStable'; version: string; rolloutId: number }
  | { type: 'restoreStable'; version: string | null; fromVersion: string; rolloutId: number; reason: string };

/**
 * What may follow. Never throws.
 *
 * `register` on an existing model is `already` if framework and use case agree, else refused with `conflict`.
 */
export function decideModel(state: ModelState, command: ModelCommand, now: number): Decision<ModelFact> {
  const { context } = state;
  const decide = (
    facts: ModelFact[],
    guards: ReturnType<typeof guard>[] = [],
    code?: 'conflict' | 'version_not_monotone',
  ) => decideFacts(modelMachine, state, command.type, facts, guards, now, code);
  switch (command.type) {
    case 'register': {
      const fact: ModelFact = { type: 'ModelRegistered', data: command.data };
      if (state.state === 'None') return decide([fact]);
      const same = context.framework === command.data.framework && context.useCase === command.data.use_case;
      if (same) return already;
      const why = `${context.name} exists with framework ${context.framework} and use case ${context.useCase}`;
      const sameModel = guard('sameModel', false, why, 'use the existing model, or register another name');
      return refuseByGuards(state.state, command.type, [sameModel], 'conflict');
    }
    case 'declareContract':
      if (context.contractDigest === command.data.digest) return already;
      return decide([{ type: 'ModelContractDeclared', data: command.data }]);
    case 'listVersion': {
      const blocking = monotoneConflict(command.version, context.listed);
      return decide(
        [{ type: 'VersionListed', data: { version: command.version } }],
        [
          guard(
            'monotone',
            blocking === undefined,
            blocking === undefined ? 'above its line' : `${blocking} is published already in this line`,
            `publish it as ${smallestLegal(command.version, context.listed)} or higher`,
          ),
        ],
        'version_not_monotone',
      );
    }
    case 'changeStable':
      return decide([
        {
          type: 'StableVersionChanged',
          data: { version: command.version, previous: context.stable, rollout_id: command.rolloutId },
        },
      ]);
    case 'restoreStable':
      return decide(
        [
          {
            type: 'StableVersionRestored',
            data: {
              version: command.version,
              from_version: command.fromVersion,
              rollout_id: command.rolloutId,
              reason: command.reason,
            },
          },
        ],
        [
          guard(
            'target',
            wasStable(context, command.version),
            `stable before: ${context.stableHistory.join(', ') || 'none'}`,
            'name a version that was stable before',
          ),
        ],
      );
  }
}

/** A target was stable once. Whether any may still be used is in the streams of the versions: the use case knows. */
const wasStable = ({ stableHistory }: ModelContext, version: string | null) =>
  version === null || stableHistory.includes(version);
