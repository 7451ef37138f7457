/** Pure. The error catalogue: one row per code. `docs/errors.md` mirrors it; codes are for ever, texts may improve. */
import type { StreamState } from './states.ts';

export interface ErrorRow {
  readonly status: number;
  readonly retryable: boolean;
  readonly title: string;
  /** What the caller can do about it. */
  readonly fix: string;
}

const row = (status: number, title: string, fix: string, retryable = false): ErrorRow => ({
  status,
  retryable,
  title,
  fix,
});

export const ERRORS = {
  invalid_json: row(400, 'The body is not JSON', 'Send one JSON value; NaN and Infinity are not JSON.'),
  malformed_request: row(400, 'Not a well-formed HTTP request', 'Percent-encode the URL as UTF-8, and send Host.'),
  unknown_field: row(400, 'A member this route does not know', 'Remove the member the pointer names.'),
  bad_cursor: row(400, 'The cursor is not one of ours', 'Take `next_cursor` from the last page, with the same filter.'),
  as_of_in_future: row(400, 'as_of lies past the head of the log', 'Ask for a position at or below `EdgeML-Position`.'),
  as_of_not_supported: row(400, 'as_of is only for reads that fold facts', 'Leave `as_of` out.'),
  idempotency_key_required: row(
    400,
    'Idempotency-Key is missing',
    'Send a fresh key per command; repeat it on a retry.',
  ),
  body_incomplete: row(400, 'The body ended early', 'Send the whole body again.'),
  length_required: row(411, 'Content-Length is missing', 'Send Content-Length.'),
  invalid_api_key: row(401, 'The key is unknown or missing', 'Send `Authorization: Bearer <key>`.'),
  token_expired: row(401, 'The device token has expired', 'Register again with it: that renews it.'),
  token_revoked: row(401, 'The device token was revoked', 'Register the device again with a key.'),
  insufficient_scope: row(403, 'The key may not do this', 'Use a key with a role that has `required_scope`.'),
  forbidden: row(403, 'Not allowed', 'Use a key of the organisation that owns it.'),
  link_expired: row(403, 'The signed link has expired', 'Ask for a new link.'),
  link_invalid: row(403, 'The signed link was altered', 'Use the link exactly as it was issued.'),
  not_your_device: row(403, 'The token belongs to another device', 'Ask with the token of that device.'),
  device_token_required: row(403, 'A key may not act as a device here', 'Use the token that registering answered.'),
  not_your_task: row(403, 'The task belongs to another device', 'Check in and use the task you were given.'),
  lease_invalid: row(403, 'EdgeML-Lease is missing or is not of this task', 'Send the lease the check-in answered.'),
  route_not_found: row(404, 'No such route', 'See /openapi.json.'),
  model_not_found: row(404, 'No such model', 'List the models, or create it.'),
  version_not_found: row(404, 'No such version', 'List the versions of the model.'),
  federation_not_found: row(404, 'No such federation', 'List the federations, or create it.'),
  rollout_not_found: row(404, 'No such rollout', 'List the rollouts of the model.'),
  training_not_found: row(404, 'No such training run', 'List the runs of the model.'),
  operation_not_found: row(404, 'No such operation', 'Use the id that a 202 answered.'),
  event_not_found: row(404, 'No such event', 'Take ids from /events.'),
  stream_not_found: row(404, 'No such stream', 'Stream names are kind-id, such as rollout-42.'),
  key_not_found: row(404, 'No such key', 'List the keys.'),
  device_not_registered: row(404, 'The device is not registered', 'POST /devices/register first.'),
  assignment_not_found: row(404, 'No version is in force for this device', 'Publish a version, or roll one out.'),
  format_not_available: row(404, 'The version has no file of that format', 'Use one of the formats listed.'),
  config_not_found: row(404, 'No optimised configuration', 'Use the defaults of the SDK.'),
  blob_unknown: row(404, 'No bytes with that hash', 'Upload them with PUT /lifecycle/v1/blobs/{sha256}.'),
  task_unknown: row(404, 'No such task', 'Check in again.'),
  request_timeout: row(408, 'The request did not arrive in time', 'Send it again, without pauses.', true),
  guard_refused: row(409, 'Refused in this state', 'Meet each unmet guard; `how_to_meet` says how.'),
  conflict: row(409, 'Another one stands in the way', 'Use or end the one that is named, or choose another name.'),
  device_claimed: row(
    409,
    'The device is registered and has its own token',
    'Register with that token, or release the device.',
  ),
  version_reserved: row(409, 'Another training run holds this version', 'Choose another version, or end that run.'),
  stream_diverged: row(
    409,
    'The log holds a fact its machine refuses',
    'Run `edgeml audit verify`; only stops are accepted.',
  ),
  round_closed: row(409, 'The round is closed', 'Check in for the next round.'),
  round_full: row(409, 'The round needs no more updates', 'Check in for the next round.'),
  per_device_limit: row(409, 'This device has contributed to the round', 'Wait for the next round.'),
  task_ended: row(409, 'The task was aborted or refused', 'Check in again.'),
  already_accepted: row(409, 'The update was accepted', 'Nothing to abort.'),
  gone: row(410, 'Removed by retention', 'Nothing can bring it back.'),
  lease_expired: row(410, 'The task has expired', 'Check in again.'),
  precondition_failed: row(412, 'If-Match does not match', 'Read the resource again; `current_etag` is its version.'),
  wrong_base: row(412, 'The update was made on another base', 'Download the base of this round.'),
  payload_too_large: row(413, 'The body is too large', 'Stay below the limit named.'),
  unsupported_media_type: row(415, 'Media type not accepted', 'Send the media type named.'),
  bad_range: row(416, 'The range lies outside the bytes', 'Ask for a range within Content-Length.'),
  headers_too_large: row(431, 'URL and headers are too large', 'Keep them below 16 KiB together.'),
  invalid_input: row(422, 'Readable but not acceptable', 'Correct the members the pointers name.'),
  counter_fell: row(
    422,
    'A number fell within its session',
    'Send numbers that only grow; draw a new session when the process starts.',
  ),
  invalid_version: row(422, 'Not a strict semantic version', 'Use MAJOR.MINOR.PATCH, without v or build metadata.'),
  version_not_monotone: row(
    422,
    'Not above the published versions of its line',
    'Use the smallest legal version named.',
  ),
  parent_not_found: row(422, 'The parent version does not exist or has no artifact', 'Name an existing lower version.'),
  idempotency_key_reused: row(422, 'The key was used for another request', 'Use a fresh key.'),
  checksum_mismatch: row(422, 'Bytes and SHA-256 differ', 'Send the bytes that have this hash.'),
  malformed_container: row(422, 'Not a canonical safetensors file', 'Write it as docs/formats.md says.'),
  unsafe_file: row(
    422,
    'The file holds code, which is not run',
    'Save the state_dict alone: torch.save(model.state_dict(), …).',
  ),
  file_not_supported: row(
    422,
    'Not a kind of model file that is taken',
    'Send a state_dict (.pt), safetensors or ONNX.',
  ),
  metadata_mismatch: row(422, 'Metadata disagree with the task', 'Copy round and task from the check-in.'),
  samples_out_of_range: row(422, 'samples is out of range', 'Send an integer within the bounds named.'),
  unknown_tensor: row(422, 'A tensor the base does not have', 'Send exactly the tensors of the base.'),
  missing_tensor: row(422, 'A tensor of the base is missing', 'Send exactly the tensors of the base.'),
  shape_mismatch: row(422, 'Shape differs from the base', 'Send the shape named.'),
  dtype_mismatch: row(422, 'Data type differs from the base', 'Send F32.'),
  non_finite: row(422, 'NaN or infinity among the numbers', 'Drop the update: training diverged on the device.'),
  norm_exceeded: row(422, 'The update is longer than max_norm', 'Clip it on the device.'),
  grid_range: row(422, 'Weight times the largest change exceeds the limit', 'Send fewer samples or smaller changes.'),
  architecture_mismatch: row(422, 'Tensors and architecture do not fit', 'The tensor is named in the detail.'),
  graph_required: row(422, 'There is no graph to run', 'Declare `architecture` when the model is created.'),
  model_not_runnable: row(
    422,
    'The runtime cannot run the model',
    'The detail says how it ended; mend that, then resume.',
  ),
  gate_failed: row(422, 'A publishing check failed', 'The report names the check.'),
  cancelled: row(409, 'A person ended it', 'The detail says why; ask for it again.'),
  internal_fault: row(
    500,
    'It failed the same way three times',
    'Report the detail: another try would fail the same way.',
  ),
  not_implemented: row(501, 'Not offered by this release', 'The detail says what is.'),
  rate_limited: row(429, 'Too many requests by this key', 'Wait as long as Retry-After says.', true),
  server_error: row(500, 'Our fault', 'Report the request id.', true),
  unavailable: row(503, 'A part we need does not answer', 'Retry after the time given.', true),
  starting: row(503, 'What answers this is not there yet', 'Retry after the time given; stops work already.', true),
  projection_behind: row(503, 'The read model is behind', 'Retry after the time given.', true),
  conversion_unavailable: row(
    503,
    'The runtime that checks this format does not work',
    'Retry; the operator sees why.',
    true,
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** One unmet or met condition of a command, for the caller to read. */
export interface Guard {
  readonly name: string;
  readonly met: boolean;
  readonly why: string;
  readonly how_to_meet: string;
}

/** Members of a problem body beside the standard ones. */
export interface ErrorEvidence {
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  readonly state?: StreamState;
  readonly command?: string;
  readonly guards?: readonly Guard[];
  readonly retry_after_s?: number;
  /** When to return: a random moment between the two, in ms. `EdgeML-Retry`. */
  readonly retry_ms?: readonly [min: number, max: number];
  /** Anything else a code documents: `smallest_legal_version`, `required_scope`, `current_etag`, `formats`, … */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** The only error this product throws on purpose. `detail` says what was expected, what came, and what to do next. */
export class LifecycleError extends Error {
  override readonly name = 'LifecycleError';
  readonly code: ErrorCode;
  readonly evidence: ErrorEvidence;
  constructor(code: ErrorCode, detail: string, evidence: ErrorEvidence = {}, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
    this.evidence = evidence;
  }
  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/** What anything that was thrown says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** We cannot tell whether a write happened. The caller stops and reloads; it never guesses. */
export class Fatal extends Error {
  override readonly name = 'Fatal';
}
