/** What the server and the child process of an audit say to each other, as JSON over Node's IPC. */
import type { KeptCheckpoint } from './checks/anchor.ts';
import type { AuditProgress, VerifyReport } from './verify.ts';

/** Sent once, first. The address of the database comes this way, so that no list of processes shows it. */
export interface AuditOrder {
  /** As `edgeml_app`, direct. */
  readonly connectionString: string;
  /** Folder with the published checkpoints. */
  readonly blobDir: string | undefined;
  readonly fast: boolean;
  readonly checkpoints: readonly KeptCheckpoint[];
}

export type FromAudit =
  | { readonly kind: 'progress'; readonly progress: AuditProgress }
  | { readonly kind: 'report'; readonly report: VerifyReport }
  /** It could not run. `code` is that of the driver or the system, where it has one. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined };
