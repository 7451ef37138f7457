/** The route table of the server itself, for tests that must leave no route out. */
import { createServer } from '../../api/server.ts';
import type { TestApi } from './testApi.ts';

export interface Route {
  readonly method: string;
  readonly url: string;
  /** One of these is needed; `any` and `none` as a route says them. */
  readonly scopes: readonly string[];
  /** Serves nothing: any key may ask, and nothing is documented. */
  readonly isBare: boolean;
}

/** Every route of the server, documented or not. */
export async function routesOf(t: TestApi): Promise<Route[]> {
  const found: Route[] = [];
  const app = createServer(t.api.deps);
  app.addHook('onRoute', ({ method, url, config, schema }) => {
    for (const one of [method].flat())
      found.push({
        method: one,
        url,
        scopes: [config?.scope ?? []].flat(),
        isBare: config?.scope === 'any' && !schema,
      });
  });
  await app.ready();
  await app.close();
  return found;
}
