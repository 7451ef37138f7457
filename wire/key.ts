/** API keys, who am I, and the audit. */
import Type, { type Static } from 'typebox';
import { closed, Instant, Name, Nullable, rowsOf, Warnings } from './common.ts';

export const Role = Type.Union([
  Type.Literal('admin'),
  Type.Literal('operator'),
  Type.Literal('monitor'),
  Type.Literal('auditor'),
  Type.Literal('viewer'),
  Type.Literal('device'),
  Type.Literal('instance'),
]);
export type Role = Static<typeof Role>;

export const NewKey = Type.Object({ name: Name, roles: Type.Array(Role, { minItems: 1, uniqueItems: true }) }, closed);
export type NewKey = Static<typeof NewKey>;

export const Key = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    org_id: Type.String(),
    roles: Type.Array(Type.String()),
    last4: Type.String(),
    created_at: Instant,
    created_by: Type.String(),
    revoked_at: Nullable(Instant),
    last_used_at: Nullable(Instant),
  },
  closed,
);
export type Key = Static<typeof Key>;

/** `key` is shown this once. */
export const KeyCreated = Type.Object({ ...Key.properties, key: Type.String(), warnings: Warnings }, closed);
export type KeyCreated = Static<typeof KeyCreated>;

export const Keys = rowsOf(Key);
export type Keys = Static<typeof Keys>;

export const Me = Type.Object(
  {
    key_id: Type.String(),
    name: Type.String(),
    org_id: Type.String(),
    roles: Type.Array(Type.String()),
    scopes: Type.Array(Type.String()),
  },
  closed,
);
export type Me = Static<typeof Me>;

export const AuditFinding = Type.Object({ step: Type.String(), detail: Type.String() }, { additionalProperties: true });
export type AuditFinding = Static<typeof AuditFinding>;

/** A checkpoint that somebody kept; `name` is how findings name it. */
export const KeptText = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 200 }), text: Type.String({ maxLength: 8_000 }) },
  closed,
);
export const VerifyRequest = Type.Object(
  { fast: Type.Optional(Type.Boolean()), checkpoints: Type.Optional(Type.Array(KeptText, { maxItems: 100 })) },
  closed,
);
export type VerifyRequest = Static<typeof VerifyRequest>;

/** `text`: the three lines of C2SP tlog-checkpoint. */
export const CheckpointView = Type.Object(
  { origin: Type.String(), size: Type.Integer({ minimum: 0 }), root: Type.String(), text: Type.String() },
  closed,
);
export type CheckpointView = Static<typeof CheckpointView>;

/** Last line of the NDJSON stream of `POST /audit/verify`; the lines before it report progress. */
export const AuditResult = Type.Object(
  {
    result: Type.Object(
      {
        passed: Type.Boolean(),
        /** Facts that were checked. */
        size: Type.Integer({ minimum: 0 }),
        /** Hex RFC 6962 root over them. */
        root: Type.String(),
        origin: Type.String(),
        findings: Type.Array(AuditFinding),
      },
      { additionalProperties: true },
    ),
  },
  closed,
);
export type AuditResult = Static<typeof AuditResult>;
