/** What an operator is told of the service itself. */
import Type, { type Static } from 'typebox';
import { closed } from './common.ts';

export const RebuildResult = Type.Object(
  {
    result: Type.Object(
      {
        name: Type.String(),
        /** Log index as of which old and new were compared; -1 where there was nothing to compare. */
        compared_at: Type.Integer(),
        /** Rows that the old one had wrong, or that this build makes otherwise; the first 20 of each table. */
        differences: Type.Integer({ minimum: 0 }),
        /** Log index up to which the new one is filled. */
        position: Type.Integer(),
        /** Rows or models that still miss a fact. */
        set_aside: Type.Integer({ minimum: 0 }),
      },
      closed,
    ),
  },
  closed,
);
export type RebuildResult = Static<typeof RebuildResult>;
