/** What the door is given; `server.ts` (the process) and the tests compose it. */
import type { CommandDeps } from '../commands/context.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import type { KeyStore } from '../store/keys/keyStore.ts';
import type { PostgresEventStore } from '../store/log/postgresEventStore.ts';
import type { Links } from './access/links.ts';

export interface ApiDeps {
  readonly log: PostgresEventStore;
  readonly commands: CommandDeps;
  readonly blobs: ArtifactStore;
  readonly keys: KeyStore;
  readonly links: Links;
  /** Where this door is reached from outside, without a trailing slash: links and `type` of problems. */
  readonly publicUrl: string;
  readonly maxUploadBytes: number;
  readonly version: string;
}
