/** What was changed of what was sent: a member of the answer, if there is anything to say. */
export const warned = (changes: readonly string[]): { warnings?: string[] } =>
  changes.length === 0 ? {} : { warnings: [...changes] };
