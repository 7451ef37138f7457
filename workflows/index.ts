/** The workflows of the product; the bundle exports exactly these. */
export { publishVersion } from './publishVersion.ts';
export { rollbackVersion } from './rollbackVersion.ts';
export { rolloutVersion } from './rolloutVersion.ts';
export { trainModel } from './trainModel.ts';
