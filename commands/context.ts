/** What a use case is given: its stores by closure, and who asks. */
import type { Actor } from '../domain/events/envelope.ts';
import type { OrgId } from '../domain/org.ts';
import type { EvidenceReader } from '../domain/rollout/verdict/index.ts';
import type { Appended, EventStore, Lane } from '../store/log/eventStore.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import type { BlobGrants } from '../store/artifacts/blobGrants.ts';
import type { ModelOwners } from '../store/orgs/modelOwners.ts';
import type { RolloutFinder } from '../store/rollouts/rolloutFinder.ts';
import type { RoundStore } from '../store/rounds/roundStore.ts';
import type { TelemetryReader } from '../store/telemetry/telemetryReader.ts';
import type { Refusal } from '../domain/refusal.ts';

export interface CommandDeps {
  readonly log: EventStore;
  readonly blobs: ArtifactStore;
  readonly grants: BlobGrants;
  readonly owners: ModelOwners;
  readonly rounds: RoundStore;
  readonly rollouts: RolloutFinder;
  readonly telemetry: Pick<TelemetryReader, 'readCounters'>;
  /** The fleet before a stage. */
  readonly fleet: Pick<EvidenceReader, 'readFleet'>;
  /** A fresh UUID version 7. */
  readonly newId: () => string;
  /** 32 random bytes as hex: seeds that go into facts. */
  readonly randomHex: () => string;
}

/** Who asks, under which id the log remembers it, and what a version conflict means to them. */
export interface Caller {
  readonly actor: Actor;
  /** Whose streams it may read and change: another's do not exist for it. Null: the instance's own processes, which serve all. */
  readonly orgId: OrgId | null;
  /** Unique per command for ever: `http:<key id>:<key>`, `rollout-<id>/<epoch>/<step>`, … */
  readonly commandId: string;
  /** SHA-256 of the request; null where the command id already says everything. */
  readonly commandHash: Uint8Array | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  /**
   * `redecide`: load and decide again, up to 20 times. `stop`: again without limit, on connections kept for stops.
   * `stale`: answer `stale`; the workflow reloads and plans anew.
   */
  readonly onConflict: 'redecide' | 'stop' | 'stale';
  /** Version of the addressed stream that the caller has seen: `If-Match`, or a workflow's view. */
  readonly expect?: { readonly stream: string; readonly version: number };
  /** Whose connections it uses; without it those of a stop where it is one, else those of commands. */
  readonly lane?: Lane;
}

export type Outcome =
  | { readonly outcome: 'appended'; readonly events: Appended }
  /** The log holds this command already: its first events. `sameRequest: false` is a key used for another request. */
  | { readonly outcome: 'duplicate'; readonly events: Appended; readonly sameRequest: boolean }
  /** It is so already: nothing was appended. */
  | { readonly outcome: 'already'; readonly events: Appended }
  | { readonly outcome: 'stale'; readonly stream: string; readonly version: number }
  | { readonly outcome: 'refused'; readonly refusal: Refusal };

export const laneOf = ({ lane, onConflict }: Caller): Lane => lane ?? (onConflict === 'stop' ? 'stop' : 'command');
