/** Pure. RFC 6901: where in a JSON value something stands. */

/** The pointer to member or element `key` of the value at `pointer`. The root is the empty text. */
export const stepInto = (pointer: string, key: string | number): string =>
  `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
