/** Pure. Texts that are too long for where they go. */

/** The first `most` code points of a text: never half of a surrogate pair, so what was well formed stays so. */
export function cutText(text: string, most: number): string {
  if (text.length <= most) return text;
  let end = 0;
  for (let n = 0; n < most && end < text.length; n += 1) end += text.codePointAt(end)! > 0xffff ? 2 : 1;
  return text.slice(0, end);
}

/** The last `most` UTF-16 units of a text, one less where that would begin with half of a pair. */
export function keepEnd(text: string, most: number): string {
  return text.slice(-most).replace(/^[\udc00-\udfff]/, '');
}
