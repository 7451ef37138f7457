/** A rollout spec that cannot be followed, as an error of the API. */
import { LifecycleError } from '../domain/errors.ts';

/** Every mistake at once; the first one is the sentence. */
export function invalidSpec(errors: readonly { pointer: string; detail: string }[]): LifecycleError {
  const [first] = errors;
  return new LifecycleError('invalid_input', `${first?.pointer ?? ''} ${first?.detail ?? 'does not fit'}.`, { errors });
}
