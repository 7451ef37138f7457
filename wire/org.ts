/** Organisations of the instance. */
import Type, { type Static } from 'typebox';
import { closed, Instant, Line, Name, rowsOf, Warnings } from './common.ts';
import { KeyCreated } from './key.ts';

export const Org = Type.Object(
  { id: Type.String(), name: Type.String(), created_at: Instant, created_by: Type.String() },
  closed,
);
export type Org = Static<typeof Org>;

export const Orgs = rowsOf(Org);
export type Orgs = Static<typeof Orgs>;

/** Without an id one is made from random digits; `org_` is no part of the rule, a habit only. */
export const NewOrg = Type.Object(
  {
    name: Name,
    id: Type.Optional(Line(64, 1)),
  },
  closed,
);
export type NewOrg = Static<typeof NewOrg>;

/** `admin_key.key` is the secret of its first admin, shown this once. */
export const OrgCreated = Type.Object({ ...Org.properties, admin_key: KeyCreated, warnings: Warnings }, closed);
export type OrgCreated = Static<typeof OrgCreated>;
