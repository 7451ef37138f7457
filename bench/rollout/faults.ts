/** Rules that simulation has shown to be wrong, planted again: each must make a named goal fail, or the harness would not see it. */
export const FAULTS = {
  'design-theta': 'the share of canary is that of the design, not of the windows',
  'plain-share': 'a bit is bad when the plain share of failures is 10 % or more',
  'open-at-contact': 'windows of control open at the version question',
  'a-rolls-back': 'A rolls back by default',
  'no-stages': 'α and β are not divided by the stages',
  'no-attribution': 'nobody is named alone',
  'fallen-counter': 'a restart of the app is read as a counter that fell, and the report is refused',
} as const;
export type Fault = keyof typeof FAULTS;
