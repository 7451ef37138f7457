/** C01: `/health`, with or without a key. */
import { identify } from '../../access/bearer.ts';
import { bearerOf } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { SdkHealth } from '../schemas.ts';
import { seconds } from '../../instant.ts';

/** 401 only for a key that is sent and unknown. */
export function healthRoute(app: App, deps: ApiDeps): void {
  app.get('/health', {
    config: { scope: 'none' },
    schema: { tags: ['sdk: health'], response: { 200: SdkHealth } },
    handler: async (request) => {
      if (bearerOf(request) !== undefined) await identify(request, deps.deviceAuth, deps.keys);
      return { status: 'ok', version: deps.version, timestamp: seconds(Date.now()) };
    },
  });
}
