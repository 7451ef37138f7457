/** Pure. Facts of stream `model-<model id>`: the catalogue entry, and which version is stable. */
import Type, { type Static } from 'typebox';
import { fact, Nullable, SemverText, Sha256Text, type FactOf } from './fact.ts';

/** A graph we can build ourselves from named tensors (docs/design/publishing.md "Declared graphs"). Without `hidden_dim`: one layer. */
export const Architecture = Type.Object(
  {
    kind: Type.String({ pattern: '^mlp(:(relu|tanh|sigmoid))?(:(softmax|sigmoid|linear))?$' }),
    input_dim: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    hidden_dim: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    output_dim: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  },
  { additionalProperties: false },
);
export type Architecture = Static<typeof Architecture>;

export const modelFacts = {
  ModelRegistered: fact('ModelRegistered', {
    org_id: Type.String({ minLength: 1, maxLength: 200 }),
    name: Type.String({ minLength: 1, maxLength: 200 }),
    framework: Type.String(),
    use_case: Type.String(),
    description: Type.String(),
  }),
  ModelContractDeclared: fact('ModelContractDeclared', {
    /** Kept as sent; `digest` is the SHA-256 of its RFC 8785 text together with `architecture`. */
    contract: Nullable(Type.Record(Type.String(), Type.Unknown())),
    architecture: Type.Optional(Architecture),
    digest: Sha256Text,
  }),
  VersionListed: fact('VersionListed', { version: SemverText }),
  StableVersionChanged: fact('StableVersionChanged', {
    version: SemverText,
    previous: Nullable(SemverText),
    rollout_id: Type.Integer({ minimum: 1 }),
  }),
  StableVersionRestored: fact('StableVersionRestored', {
    /** Null: no other version ever was stable, so none is in force any more. */
    version: Nullable(SemverText),
    from_version: SemverText,
    rollout_id: Type.Integer({ minimum: 1 }),
    reason: Type.String(),
  }),
};
export type ModelFact = FactOf<typeof modelFacts>;
