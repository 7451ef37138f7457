/** Pure. By what a rollout is judged where nobody says: the one place that knows. */

export const DEFAULT_POLICY: 'evidence' | 'rules' = 'rules';
