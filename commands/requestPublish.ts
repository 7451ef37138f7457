/** Asks for a trained version to be converted, checked and published. The workflow does the work. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { versionStream } from '../domain/events/streams.ts';
import { formatNames, formatsFor } from '../domain/formats/fileFormats.ts';
import { decideModel } from '../machines/model.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireModel, requireVersion } from './existing.ts';
import { firstFact } from './firstOutcome.ts';
import { requirePublishable } from './publishable.ts';

export interface RequestPublish {
  readonly modelId: ModelId;
  readonly version: Semver;
  /** Without it: safetensors, and every other one where the model declares an architecture. */
  readonly formats?: readonly string[];
}

/** What this release converts to. */
const FORMATS = formatNames();

/**
 * PublishRequested. `n` numbers the publications of the version. A version below its published line is refused at once; the
 * publication is held against the line once more when it is recorded.
 *
 * @throws LifecycleError `invalid_input`, `model_not_found`, `version_not_found`; what its weights cannot become
 *   (`graph_required`, `architecture_mismatch`, `malformed_container`, `blob_unknown`)
 */
export async function requestPublish(
  deps: CommandDeps,
  caller: Caller,
  input: RequestPublish,
): Promise<Outcome & { readonly n: number }> {
  const { modelId, version } = input;
  checkFormats(input.formats ?? []);
  const stream = versionStream(modelId, version);
  let n = 0;
  const outcome = await execute(deps, caller, async (streams) => {
    const model = await requireModel(streams, modelId);
    const state = await requireVersion(streams, modelId, version);
    const now = streams.now().getTime();
    n = state.context.publications;
    const formats = input.formats?.length
      ? [...new Set(input.formats)]
      : formatsFor(model.context.architecture !== null);
    const decision = decideVersion(state, { type: 'requestPublish', formats }, now);
    if (decision.kind === 'facts') {
      n += 1;
      const listed = decideModel(model, { type: 'listVersion', version }, now);
      if (listed.kind === 'refused') return { kind: 'refused', refusal: { ...listed.refusal, state: state.state } };
      // The guard `tensors` has been met.
      await requirePublishable(deps, model.context.architecture, formats, state.context.tensorsSha!);
    }
    return joinDecisions([{ stream, decision }]);
  });
  if (outcome.outcome !== 'duplicate') return { ...outcome, n };
  const first = await firstFact(deps, outcome, 'PublishRequested');
  return { ...outcome, n: first?.n ?? n };
}

/** Every format that is not offered, with its pointer. @throws LifecycleError `invalid_input` */
function checkFormats(formats: readonly string[]): void {
  const errors = formats.flatMap((format, i) =>
    FORMATS.includes(format) ? [] : [{ pointer: `/formats/${i}`, detail: `must be one of ${FORMATS.join(', ')}` }],
  );
  if (errors.length === 0) return;
  const unknown = formats.filter((f) => !FORMATS.includes(f)).map((f) => JSON.stringify(f));
  throw new LifecycleError('invalid_input', `${unknown.join(', ')}: not offered. Formats: ${FORMATS.join(', ')}.`, {
    errors,
    more: { formats: FORMATS },
  });
}
