/** The models of an organisation (C02), a page of them or all, in one document: docs/design/http.md "List of models". */
import type { ModelKind, ModelCursor } from '../../../projections/catalog/query.ts';
import type { ModelNow, ReadModels } from '../../../projections/readModels.ts';
import type { ListText } from '../../http/listText.ts';
import type { SdkModel } from '../schemas.ts';
import { modelOfRow, sdkModel } from '../views.ts';

type Reads = Pick<ReadModels, 'modelsNow' | 'modelCount'>;

/** Models of one query. */
const PAGE = 500;

/** In the order of names, each as `shown` says; without a limit all of them. */
export async function* pagesOfModels<T extends object>(
  reads: Pick<ReadModels, 'modelsNow'>,
  kind: ModelKind,
  shown: (row: ModelNow) => T,
  { limit = Number.POSITIVE_INFINITY, offset = 0 }: { readonly limit?: number; readonly offset?: number } = {},
): AsyncGenerator<readonly T[]> {
  let left = limit;
  for (let place: ModelCursor = { offset }; left > 0;) {
    const wanted = Math.min(left, PAGE);
    const rows = await reads.modelsNow(kind, place, wanted);
    left -= rows.length;
    yield rows.map(shown);
    if (rows.length < wanted) return;
    place = { after: rows.at(-1)! };
  }
}

/** Without a limit: all of them. A page would make `ensure_model` of SDKs create duplicates. */
export function modelList(
  reads: Reads,
  kind: ModelKind,
  { limit = Number.POSITIVE_INFINITY, offset }: { readonly limit?: number; readonly offset: number },
): ListText {
  let sent = 0;
  const shown = (row: ModelNow): SdkModel => {
    sent += 1;
    return sdkModel(modelOfRow(row));
  };
  return {
    open: '{"models":[',
    pages: pagesOfModels(reads, kind, shown, { limit, offset }),
    async close() {
      // All of them were met: as many as that, however many came meanwhile.
      const isAll = offset === 0 && sent < limit;
      return `],"total":${isAll ? sent : await reads.modelCount(kind)}}`;
    },
  };
}
