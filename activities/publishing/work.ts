/** The entry of this room: what Temporal activities call, without Temporal. */
export { buildBase, type BaseToBuild, type BuiltBase } from './buildBase.ts';
export type { GateRefused } from './gate.ts';
export { runPublication, type PublishableVersion, type VersionToPublish } from './publishVersion.ts';
export { seal, type SealedVersion, type VersionToSeal } from './seal.ts';
export { verifyOnnx, type OnnxToVerify, type VerifiedOnnx } from './verifyOnnx.ts';
