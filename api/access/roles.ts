/** Pure. What a role may do. A route names one scope; a key has the scopes of all its roles. */

const READS = ['models:read', 'rollouts:read', 'events:read', 'artifacts:read'] as const;
const OPERATES = [
  'models:write',
  'artifacts:write',
  'training:write',
  'rollouts:write',
  'rollouts:halt',
  'experiments:write',
  'approvals:decide',
  'devices:release',
] as const;
const DEVICE = ['devices:register', 'devices:heartbeat', 'training:participate', 'telemetry:write'] as const;
const ADMIN = ['keys:manage', 'webhooks:manage', 'sources:manage'] as const;
/** What concerns every organisation at once: the organisations themselves, the whole log, the read models. */
const INSTANCE = ['instance:manage'] as const;

const SCOPES = {
  admin: [...READS, 'audit:export', ...OPERATES, 'signals:write', ...DEVICE, ...ADMIN],
  operator: [...READS, ...OPERATES],
  monitor: ['signals:write', 'rollouts:halt', 'models:read', 'rollouts:read'],
  auditor: [...READS, 'audit:export'],
  viewer: ['models:read', 'rollouts:read'],
  device: [...DEVICE],
  instance: [...INSTANCE],
} as const;

export type Scope = (typeof SCOPES)[keyof typeof SCOPES][number];
export type Role = keyof typeof SCOPES;

/** By which a device acts once it is registered. */
export const OF_DEVICES: ReadonlySet<Scope> = new Set(DEVICE.filter((scope) => scope !== 'devices:register'));

const isRole = (role: string): role is Role => role in SCOPES;

/** Sorted; a role we do not know gives none. */
export function scopesOf(roles: readonly string[]): Scope[] {
  return [...new Set(roles.filter(isRole).flatMap((role) => [...SCOPES[role]]))].sort();
}

/** Roles that have a scope: what a 403 tells. */
export const rolesWith = (scope: Scope): string[] =>
  Object.entries(SCOPES).flatMap(([role, scopes]) => ((scopes as readonly string[]).includes(scope) ? [role] : []));
