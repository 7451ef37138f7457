/** The EdgeML API, which existing SDKs speak: `/api/v1`, and the few calls they make without that prefix. */
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { assignmentRoute, sdkDeviceRoutes } from './devices.ts';
import { federationRoutes } from './federations.ts';
import { healthRoute } from './health.ts';
import { sdkModelRoutes } from './models.ts';
import { notOffered, notOfferedAtRoot } from './notOffered.ts';
import { bucketRoutes, startUpRoutes } from './startUp.ts';
import { uploadRoutes } from './uploads.ts';
import { sdkRolloutRoutes } from './rollouts.ts';

/** A Fastify plugin. */
export function sdkRoutes(deps: ApiDeps) {
  return async (app: App): Promise<void> => {
    // Some SDKs ask these at the root of the host.
    healthRoute(app, deps);
    assignmentRoute(app, deps);
    bucketRoutes(app, deps);
    notOfferedAtRoot(app, deps);
    await app.register(
      (scoped: App) => {
        healthRoute(scoped, deps);
        sdkModelRoutes(scoped, deps);
        uploadRoutes(scoped, deps);
        sdkRolloutRoutes(scoped, deps);
        sdkDeviceRoutes(scoped, deps);
        federationRoutes(scoped, deps);
        assignmentRoute(scoped, deps);
        bucketRoutes(scoped, deps);
        startUpRoutes(scoped, deps);
        notOffered(scoped, deps);
        return Promise.resolve();
      },
      { prefix: '/api/v1' },
    );
  };
}
