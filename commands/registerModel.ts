/** A model enters the catalogue. Its id follows from its name, so a repeat under any key finds the same model. */
import type { ModelId } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { Architecture } from '../domain/events/model.ts';
import { modelStream } from '../domain/events/streams.ts';
import { architectureProblem } from '../domain/formats/architecture.ts';
import { canonicalSha } from '../domain/hash/canonicalJson.ts';
import type { OrgId } from '../domain/org.ts';
import { modelIdOf } from '../domain/hash/uuid.ts';
import { modelNameFrom } from '../domain/names.ts';
import { decideModel, modelMachine } from '../machines/model.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { foresee } from './foresee.ts';

export interface RegisterModel {
  readonly orgId: OrgId;
  /** In any spelling; `modelNameFrom` says which is stored. */
  readonly name: string;
  readonly framework: string;
  readonly useCase: string;
  readonly description: string;
  readonly contract?: Readonly<Record<string, unknown>>;
  readonly architecture?: Architecture;
}

/**
 * ModelRegistered, and ModelContractDeclared where a contract or an architecture is given and is not the declared one.
 * Refused with `conflict` where the name exists with another framework or use case.
 *
 * @returns with `warnings`: what of the name was changed
 * @throws LifecycleError `invalid_input` for a name that could not be found again; `architecture_mismatch` for an architecture whose graph cannot be built
 */
export async function registerModel(
  deps: CommandDeps,
  caller: Caller,
  asked: RegisterModel,
): Promise<Outcome & { readonly modelId: ModelId; readonly warnings: readonly string[] }> {
  const { name, changes } = modelNameFrom(asked.name);
  const input = { ...asked, name };
  const problem = input.architecture && architectureProblem(input.architecture);
  if (problem) {
    const { code, detail } = problem;
    const pointer = `/architecture${problem.pointer}`;
    throw new LifecycleError(code, `${pointer} ${detail}.`, { errors: [{ pointer, detail }] });
  }
  const modelId = modelIdOf(input.orgId, input.name);
  const stream = modelStream(modelId);
  const outcome = await execute(deps, caller, async (streams) => {
    const model = await streams.model(modelId);
    const now = streams.now().getTime();
    const registered = decideModel(model, { type: 'register', data: registeredData(input) }, now);
    if (input.contract === undefined && input.architecture === undefined) {
      return joinDecisions([{ stream, decision: registered }]);
    }
    const declared = decideModel(
      foresee(modelMachine, model, registered, now),
      { type: 'declareContract', data: contractData(input) },
      now,
    );
    return joinDecisions([
      { stream, decision: registered },
      { stream, decision: declared },
    ]);
  });
  return { ...outcome, modelId, warnings: changes };
}

const registeredData = (input: RegisterModel) => ({
  org_id: input.orgId,
  name: input.name,
  framework: input.framework,
  use_case: input.useCase,
  description: input.description,
});

function contractData({ contract, architecture }: RegisterModel) {
  return {
    contract: contract === undefined ? null : { ...contract },
    ...(architecture === undefined ? {} : { architecture }),
    digest: canonicalSha({ contract: contract ?? null, architecture: architecture ?? null }),
  };
}
