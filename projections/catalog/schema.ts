/** Tables of `catalog`: one row per model, and how many there are. */
import type { Architecture } from '../../domain/events/model.ts';
import { canonicalSha } from '../../domain/hash/canonicalJson.ts';
import { historyTable } from '../table.ts';

export interface ModelRow {
  model_id: string;
  org_id: string;
  name: string;
  framework: string;
  use_case: string;
  description: string;
  contract: Readonly<Record<string, unknown>> | null;
  architecture: Architecture | null;
  contract_digest: string | null;
  stable_version: string | null;
  /** Highest precedence among published versions that are no pre-release and not rolled back. */
  latest_version: string | null;
  /** Published versions, in the order of their listing. */
  versions: readonly string[];
  rolled_back: readonly string[];
  created_at: string;
  updated_at: string;
  stream_version: number;
}

export const models = historyTable<ModelRow>('models', {
  key: ['model_id'],
  columns: {
    model_id: 'text',
    org_id: 'text',
    name: 'text',
    framework: 'text',
    use_case: 'text',
    description: 'text',
    contract: 'jsonb',
    architecture: 'jsonb',
    contract_digest: 'text',
    stable_version: 'text',
    latest_version: 'text',
    versions: 'jsonb',
    rolled_back: 'jsonb',
    created_at: 'text',
    updated_at: 'text',
    stream_version: 'bigint',
  },
  current: [
    ['org_id', 'name', 'model_id'],
    ['org_id', 'framework', 'name', 'model_id'],
    ['org_id', 'use_case', 'name', 'model_id'],
  ],
  searched: ['name'],
});

/** How many models an organisation has, of each framework and use case: what a list answers as its total. */
export interface ModelCountRow {
  /** {@link countKey} */
  counted: string;
  org_id: string;
  n: number;
}

export const modelCounts = historyTable<ModelCountRow>('model_counts', {
  key: ['counted'],
  columns: { counted: 'text', org_id: 'text', n: 'bigint' },
});

/** Of a fixed length, whatever the texts are. Undefined: of any. */
export const countKey = (orgId: string, of: { readonly framework?: string; readonly useCase?: string }): string =>
  canonicalSha([orgId, of.framework ?? null, of.useCase ?? null]);

/** The counts that a model is part of. */
export const countKeysOf = (
  orgId: string,
  { framework, useCase }: { framework: string; useCase: string },
): string[] => [
  countKey(orgId, {}),
  countKey(orgId, { framework }),
  countKey(orgId, { useCase }),
  countKey(orgId, { framework, useCase }),
];
