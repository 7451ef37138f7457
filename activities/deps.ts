/** What activities close over: the use cases' stores, and what is read or told beside the log. */
import type { CommandDeps } from '../commands/context.ts';
import type { ArmCounters } from '../domain/events/rollout.ts';
import type { NoticeStore } from '../store/notices/noticeTable.ts';
import type { OnnxRuntime } from './runtimes/onnxRuntime.ts';

export interface ActivityLogger {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

export interface ActivityDeps {
  readonly commands: CommandDeps;
  readonly notices: NoticeStore;
  /** Totals of one stage, both arms. */
  readonly readCounters: (
    rolloutId: number,
    stage: number,
  ) => Promise<{ readonly canary: ArmCounters; readonly control: ArmCounters }>;
  /** Devices that were told the rolled-back version, and those of them whose last report still names it. */
  readonly devicesStillOn: (rolloutId: number) => Promise<{ readonly told: number; readonly outstanding: number }>;
  /** Runs models in child processes. */
  readonly runtime: OnnxRuntime;
  readonly logger: ActivityLogger;
  /** How often devices are counted on their way back, ms. */
  readonly followEveryMs?: number;
}
