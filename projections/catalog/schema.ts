/** Tables of `catalog`: one row per model. */
import type { Architecture } from '../../domain/events/model.ts';
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
  indexes: [['org_id', 'name']],
});
