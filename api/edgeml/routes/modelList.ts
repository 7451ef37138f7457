/** The models of an organisation (C02), a page of them or all, in one document: docs/design/http.md "List of models". */
import type { ModelKind, ModelCursor } from '../../../projections/catalog/query.ts';
import type { ReadModels } from '../../../projections/readModels.ts';
import type { ListText } from '../../http/listText.ts';
import type { SdkModel } from '../schemas.ts';
import { modelOfRow, sdkModel } from '../views.ts';

type Reads = Pick<ReadModels, 'modelsNow' | 'modelCount'>;

/** Models of one query. */
const PAGE = 500;

/** Without a limit: all of them. A page would make `ensure_model` of SDKs create duplicates. */
export function modelList(
  reads: Reads,
  kind: ModelKind,
  { limit = Number.POSITIVE_INFINITY, offset }: { readonly limit?: number; readonly offset: number },
): ListText {
  let sent = 0;
  async function* pages(): AsyncGenerator<readonly SdkModel[]> {
    for (let place: ModelCursor = { offset }; sent < limit;) {
      const wanted = Math.min(limit - sent, PAGE);
      const rows = await reads.modelsNow(kind, place, wanted);
      sent += rows.length;
      yield rows.map((row) => sdkModel(modelOfRow(row)));
      if (rows.length < wanted) return;
      place = { after: rows.at(-1)! };
    }
  }
  return {
    open: '{"models":[',
    pages: pages(),
    async close() {
      // All of them were met: as many as that, however many came meanwhile.
      const isAll = offset === 0 && sent < limit;
      return `],"total":${isAll ? sent : await reads.modelCount(kind)}}`;
    },
  };
}
