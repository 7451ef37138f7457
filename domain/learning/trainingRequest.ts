/** Pure. From a training request's JSON to the spec of a run: checks, defaults, and the hash that recognises a repeat. */
import type { ModelId, Semver } from '../brands.ts';
import type { TrainingSpec } from '../events/training.ts';
import { canonicalSha } from '../hash/canonicalJson.ts';
import { stepInto } from '../jsonPointer.ts';
import type { Refusal } from '../refusal.ts';
import { requestSums } from './requestSums.ts';
import { FIELDS, isGroup, NOT_YET, type Field, type Group } from './requestFields.ts';

/** A request with its defaults; the seed is null unless the caller pinned one. */
export type TrainingRequest = Omit<TrainingSpec, 'model_id' | 'seed'> & { readonly seed: string | null };

/** `unknown_field` if a member is none of ours, `invalid_version` if only `new_version` is wrong, else `invalid_input`. */
type RequestRefusal = Refusal<'unknown_field' | 'invalid_version' | 'invalid_input'>;

type Members = Readonly<Record<string, unknown>>;
const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Found {
  readonly errors: { pointer: string; detail: string }[];
  hasUnknown: boolean;
}

function read(body: Members, rules: Readonly<Record<string, Field | Group>>, at: string, found: Found): Members {
  const value: Record<string, unknown> = {};
  for (const key of Object.keys(body)) {
    if (Object.hasOwn(rules, key)) continue;
    const isLater = at === '' && Object.hasOwn(NOT_YET, key);
    if (!isLater) found.hasUnknown = true;
    const known = Object.keys(rules).join(', ');
    found.errors.push({
      pointer: stepInto(at, key),
      detail: isLater ? NOT_YET[key]! : `is no member of a training request; known are ${known}`,
    });
  }
  for (const [key, rule] of Object.entries(rules)) {
    const pointer = stepInto(at, key);
    const given = Object.hasOwn(body, key) ? body[key] : undefined;
    if (isGroup(rule)) {
      if (given !== undefined && !isMembers(given)) found.errors.push({ pointer, detail: 'must be an object' });
      else value[key] = read(given ?? {}, rule.members, pointer, found);
      continue;
    }
    const one = given === undefined ? rule.fallback : given;
    if (one === undefined && key === 'goal') continue;
    const problem = one === undefined ? 'is required' : rule.check(one);
    if (problem !== undefined) found.errors.push({ pointer, detail: problem });
    value[key] = one;
  }
  return value;
}

/** Members that fit one by one but not together. */
function disagreements(request: TrainingRequest): { pointer: string; detail: string }[] {
  const errors: { pointer: string; detail: string }[] = [];
  if (request.goal !== null && request.goal < request.min_updates) {
    errors.push({
      pointer: '/goal',
      detail: `must be at least min_updates, ${request.min_updates}: no round closes below its quorum`,
    });
  }
  if (request.base_version !== null && request.init_artifact !== null) {
    errors.push({ pointer: '/init_artifact', detail: 'names first weights, base_version a version: send one of them' });
  }
  return [...errors, ...requestSums(request)];
}

function refusal(found: Found): RequestRefusal {
  const [first] = found.errors;
  const isVersion = found.errors.length === 1 && first?.pointer === '/new_version' && first.detail !== 'is required';
  const code = found.hasUnknown ? 'unknown_field' : isVersion ? 'invalid_version' : 'invalid_input';
  return { code, detail: `${first?.pointer} ${first?.detail}`, errors: found.errors };
}

/** Checks a request and fills in what it leaves out. All faults are named at once. Never throws. */
export function parseTrainingRequest(body: unknown): TrainingRequest | RequestRefusal {
  if (!isMembers(body))
    return {
      code: 'invalid_input',
      detail: 'a training request is a JSON object',
      errors: [{ pointer: '', detail: 'must be an object' }],
    };
  const found: Found = { errors: [], hasUnknown: false };
  const value = read(body, FIELDS, '', found);
  if (found.errors.length > 0) return refusal(found);
  const { allow_rolled_back_base: allowed, ...rest } = value;
  // FIELDS names every member of the spec with a check at least as strict as its schema; a test holds one against the other.
  const request = {
    ...rest,
    goal: Object.hasOwn(rest, 'goal') ? rest['goal'] : rest['min_updates'],
    ...(allowed === null ? {} : { allow_rolled_back_base: allowed }),
  } as unknown as TrainingRequest;
  const errors = disagreements(request);
  return errors.length > 0 ? refusal({ errors, hasUnknown: false }) : request;
}

/**
 * The frozen spec of a run. `spec_sha` is `canonicalSha` of it.
 *
 * @param resolved the base version that null stood for (null: training starts from `init_artifact`), and a drawn seed for
 *                 requests that pin none
 */
export function specOf(
  request: TrainingRequest,
  resolved: { readonly modelId: ModelId; readonly baseVersion: Semver | null; readonly seed: string },
): TrainingSpec {
  return {
    ...request,
    model_id: resolved.modelId,
    base_version: resolved.baseVersion,
    seed: request.seed ?? resolved.seed,
  };
}

/** Recognises the same request again: SHA-256 before defaults, drawing and resolving. @param body as it was sent */
export function requestSha(modelId: ModelId, body: unknown): string {
  return canonicalSha({ model_id: modelId, request: body });
}
