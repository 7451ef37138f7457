/** The Lifecycle API: everything under `/lifecycle/v1`. */
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { blobReads, blobWrites } from '../../blobs.ts';
import { adminRoutes } from './admin.ts';
import { auditRoutes } from './audit.ts';
import { deviceRoutes } from './devices.ts';
import { eventRoutes } from './events.ts';
import { keyRoutes } from './keys.ts';
import { modelRoutes } from './models.ts';
import { operationRoutes } from './operations.ts';
import { orgRoutes } from './orgs.ts';
import { rolloutHealthRoutes } from './rolloutHealth.ts';
import { rolloutRoutes } from './rollouts.ts';
import { taskRoutes } from './tasks.ts';
import { trainingRoutes } from './training.ts';
import { versionRoutes } from './versions.ts';

/** A Fastify plugin. */
export function ownRoutes(deps: ApiDeps) {
  return async (app: App): Promise<void> => {
    modelRoutes(app, deps);
    versionRoutes(app, deps);
    blobReads(app, deps);
    await blobWrites(app, deps);
    trainingRoutes(app, deps);
    await taskRoutes(app, deps);
    rolloutRoutes(app, deps);
    rolloutHealthRoutes(app, deps);
    deviceRoutes(app, deps);
    operationRoutes(app, deps);
    eventRoutes(app, deps);
    auditRoutes(app, deps);
    adminRoutes(app, deps);
    keyRoutes(app, deps);
    orgRoutes(app, deps);
  };
}
