/** The read models of this build, each to be made again by an operator. */
import { rebuild, type RebuildOptions } from '../projections/rebuild.ts';
import type { ReadModels } from '../projections/readModels.ts';
import { projections } from '../projections/registry.ts';
import type { ApiDeps } from './context.ts';

export function rebuildable(
  options: Pick<RebuildOptions, 'connectionString' | 'log' | 'logger'> & { readonly reads: Pick<ReadModels, 'status'> },
): ApiDeps['readModels'] {
  return {
    names: projections.map((p) => p.name),
    async rebuild(name, signal, onProgress) {
      const projection = projections.find((p) => p.name === name);
      if (!projection) throw new Error(`there is no read model ${name}`);
      const rebuilt = await rebuild(projection, {
        ...options,
        signal,
        onProgress: (_name, done, total) => onProgress(done, total),
      });
      const after = (await options.reads.status()).find((model) => model.name === name);
      return {
        name,
        compared_at: rebuilt.comparedAt,
        differences: rebuilt.differences.length,
        position: rebuilt.position,
        set_aside: after?.setAside.count ?? 0,
      };
    },
  };
}
