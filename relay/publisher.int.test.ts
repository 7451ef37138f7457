/** Publishes of one inbox, against a real nats-server. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startNats, type TestNats } from '../test/support/services.ts';
import { createPublisher, type Publisher } from './publisher.ts';

let nats: TestNats;
let nc: NatsConnection;
let publisher: Publisher;
beforeAll(async () => {
  nats = await startNats();
  nc = await connect({ servers: nats.url });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: 'PUBLISHED', subjects: ['published.>'] });
  publisher = createPublisher(nc, 400);
});
afterAll(async () => {
  publisher.close();
  await nc.close();
  await nats.stop();
});

const send = (subject: string, id: string, lastSequence: number, lastId?: string) =>
  publisher.publish({
    subject,
    id,
    data: '{}',
    headers: headers(),
    expected: { stream: 'PUBLISHED', lastSequence, lastId },
  });

it('gives each its own answer, with many on their way', async () => {
  const sent = Array.from({ length: 50 }, (_, i) => send('published.a', `a${i}`, i, i > 0 ? `a${i - 1}` : undefined));
  expect((await Promise.all(sent)).map(({ seq }) => seq)).toEqual(sent.map((_, i) => i + 1));
});

it('refuses what follows another message than the expected one', async () => {
  await expect(send('published.a', 'b1', 7)).rejects.toThrow(/refused it: wrong last sequence/);
  await expect(send('published.a', 'b2', 50, 'a7')).rejects.toThrow(/refused it: wrong last msg/i);
  expect(await send('published.a', 'b3', 50, 'a49')).toEqual({ seq: 51 });
});

it('says that no stream takes the subject', async () => {
  await expect(send('nobody.listens', 'c1', 51)).rejects.toThrow('no JetStream stream takes the subject');
});

it('gives up where nobody answers, and later ones are answered', async () => {
  nc.subscribe('mute.>');
  const mute = expect(send('mute.x', 'd1', 51)).rejects.toThrow('did not answer a publish within 400 ms');
  expect(await send('published.a', 'd2', 51)).toEqual({ seq: 52 });
  await mute;
});
