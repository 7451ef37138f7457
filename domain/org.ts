/** Pure. Organisations: whose a model, a device, a key and a blob are. */

declare const brand: unique symbol;
/** Id of an organisation. Only {@link parseOrgId} makes one, so no reader can be called with a text that merely looks like it. */
export type OrgId = string & { readonly [brand]: 'OrgId' };

/** What an id looks like, for error texts. */
export const ORG_ID_RULE = '1 to 64 of a-z, A-Z, 0-9, "_", "-" and ".", beginning with a letter or digit';

/** The organisation of that id; undefined for a text that is none. It need not exist. */
export function parseOrgId(text: string): OrgId | undefined {
  // The one place where the brand is given.
  return /^[A-Za-z0-9][\w.-]{0,63}$/.test(text) ? (text as OrgId) : undefined;
}

/** The organisation of that id. @throws RangeError for a text that is none: for configuration and rows of our own */
export function asOrgId(text: string): OrgId {
  const parsed = parseOrgId(text);
  if (parsed === undefined) throw new RangeError(`${JSON.stringify(text)} is no organisation id: ${ORG_ID_RULE}`);
  return parsed;
}
