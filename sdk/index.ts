/** `import { connect, Device } from 'edgeml-lifecycle/sdk'`: the typed HTTP client. Browser-safe. */
import { Federation } from './federation.ts';
import { Http, type ClientOptions } from './http.ts';
import { ModelRegistry } from './registry.ts';

export * from './errors.ts';
export { Device, type DeviceOptions, type Fit } from './device.ts';
export type { RefusedReport } from './reporting.ts';
export { Federation, type TrainRequest } from './federation.ts';
export { Http, type CallOptions, type ClientOptions, type Progress } from './http.ts';
export { followOperation, OperationFailed } from './operation.ts';
export { ModelRegistry } from './registry.ts';
export { RolloutHandle } from './rollout.ts';
export { Audit } from './audit.ts';
export { decodeTensors, encodeModel, type Tensor, type Weights } from './weights.ts';
export type * from './types.ts';

/** One connection for the verbs of a platform team. */
export function connect(options: ClientOptions): { http: Http; registry: ModelRegistry; federation: Federation } {
  const http = new Http(options);
  return { http, registry: new ModelRegistry(http), federation: new Federation(http) };
}
