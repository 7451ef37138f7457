/** What activities close over: the use cases' stores, and what is read or told beside the log. */
import type { CommandDeps } from '../commands/context.ts';
import type { EvidenceReader } from '../domain/rollout/verdict/index.ts';
import type { NoticeStore } from '../store/notices/noticeTable.ts';
import type { TelemetryReader } from '../store/telemetry/telemetryReader.ts';
import type { OnnxRuntime } from './runtimes/onnxRuntime.ts';

export interface ActivityLogger {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

export interface ActivityDeps {
  readonly commands: CommandDeps;
  readonly notices: NoticeStore;
  /** Counters of stages, and where devices are. */
  readonly telemetry: Pick<TelemetryReader, 'readCounters' | 'readLeaves' | 'devicesStillOn'>;
  /** Windows of stages under the policy `evidence`. */
  readonly evidence: Pick<EvidenceReader, 'readStage' | 'sweep'>;
  /** Runs models in child processes. */
  readonly runtime: OnnxRuntime;
  readonly logger: ActivityLogger;
  /** How often devices are counted on their way back, ms. */
  readonly followEveryMs?: number;
}
