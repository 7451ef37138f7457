/** The baseline of `bench/http.ts`, in a process of its own: fastify with nothing but routes that answer the same bodies. */
import Fastify from 'fastify';

/** Answers by route, as the product gave them, in the first argument. */
const bodies = JSON.parse(process.argv[2] ?? '[]') as readonly (readonly ['GET' | 'POST', string, unknown])[]; // of bench/http.ts

const app = Fastify();
for (const [method, url, body] of bodies) app.route({ method, url, handler: (_request, reply) => reply.send(body) });
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
if (address === null || typeof address === 'string') throw new Error('no port');
process.send?.(address.port);
process.once('disconnect', () => process.exit(0));
