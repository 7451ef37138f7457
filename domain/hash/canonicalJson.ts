/** Pure. RFC 8785: one text per JSON value, so that equal values have equal hashes. */
import canonicalize from 'canonicalize';
import { sha256Hex } from './sha256.ts';
import { checkJson } from './soundJson.ts';

/**
 * The RFC 8785 text of a JSON value.
 *
 * @throws LifecycleError `invalid_input` with a pointer into the value, where not every reader holds it; TypeError for
 *   `undefined` and functions: they have no JSON
 */
export function canonicalJson(value: unknown): string {
  checkJson(value);
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('canonicalJson: the value has no JSON form');
  return text;
}

/** Lower-case hex SHA-256 of the RFC 8785 text: how specs, requests and policies are named by content. */
export function canonicalSha(value: unknown): string {
  return sha256Hex(canonicalJson(value));
}
