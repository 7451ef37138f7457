/** Tables of `catalog`: one row per model, one per version that was listed or rolled back, and how many models there are. */
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
  /** Published versions. Which ones, and which is the latest: `listings`. */
  version_count: number;
  created_at: string;
  updated_at: string;
  stream_version: number;
}

export interface ListingRow {
  model_id: string;
  version: string;
  /** Place in the order of listing, from 1; null for one that was rolled back and never listed. */
  place: number | null;
  is_rolled_back: boolean;
  /**
   * MAJOR, MINOR and PATCH of what may be the latest: listed, no pre-release, not rolled back; else null. Postgres compares
   * arrays in jsonb number by number, so the greatest is the latest.
   */
  latest_rank: readonly number[] | null;
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
    version_count: 'bigint',
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

export const listings = historyTable<ListingRow>('listings', {
  key: ['model_id', 'version'],
  columns: {
    model_id: 'text',
    version: 'text',
    place: 'bigint',
    is_rolled_back: 'boolean',
    latest_rank: 'jsonb',
  },
  indexes: [['model_id', 'latest_rank']],
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

/** By the text that is hashed: models are of few kinds, and there are many models. */
const known = new Map<string, string>();
const MOST_KNOWN = 10_000;

/** Of a fixed length, whatever the texts are. Undefined: of any. */
export function countKey(orgId: string, of: { readonly framework?: string; readonly useCase?: string }): string {
  const counted = [orgId, of.framework ?? null, of.useCase ?? null];
  const text = JSON.stringify(counted);
  const key = known.get(text) ?? canonicalSha(counted);
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(text, key);
  return key;
}

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
