/** Pure. The entry of the learning room: the arithmetic of federated rounds. */
export { acceptedRoot, type AcceptedUpdate } from './acceptedRoot.ts';
export { openGate, openingTerms, type AdmissionTerms, type Admitted, type Gate } from './admission.ts';
export { accumulate, gridFor, limitFor, sgdStep, weightOf, type Grid } from './grid.ts';
export { drawOf, leasesNeeded, planSeed } from './leases.ts';
export { manifestBytes, type ManifestUpdate } from './manifest.ts';
export { trainRequestSchema } from './requestFields.ts';
export { poolMetrics, readMetrics, type MetricSums, type PooledFigures } from './metrics.ts';
export { isBuffer, squares } from './norm.ts';
export { checkTrainableBase } from './trainableBase.ts';
export { parseTrainingRequest, requestSha, specOf, type TrainingRequest } from './trainingRequest.ts';
