/** NOTIFY of Postgres as calls. One may be lost with its connection, so whoever listens also polls now and then. */
import { keepAsking, openSession, type Session } from './connect.ts';

/**
 * `edgeml_append`: facts wait for a place. `edgeml_log`: the log has grown, up to the index in the payload. `edgeml_devices`: what those ids say
 * of themselves has changed. `edgeml_device_released`: tokens were revoked. `edgeml_key_revoked`: the key of that id was.
 */
export type Channel =
  'edgeml_append' | 'edgeml_log' | 'edgeml_devices' | 'edgeml_device_released' | 'edgeml_key_revoked';

/** Calls `notify` for each NOTIFY until the session ends. @throws the driver's error if the session is gone */
export async function listen({ client }: Session, channel: Channel, notify: (payload: string) => void): Promise<void> {
  client.on('notification', (message) => notify(message.payload ?? ''));
  await client.query(`LISTEN ${channel}`);
}

export interface Listener {
  /** Connects where there is no connection. Never throws: the caller looks by itself, and calls again. */
  keepConnected(): void;
  /** Ends the connection for good. Never rejects. */
  close(): Promise<void>;
}

/**
 * A session of its own that does nothing but listen; not connected yet. The caller closes it.
 *
 * @param onConnected called when it begins to listen: notifications before that were missed
 */
export function createListener(
  connectionString: string,
  name: string,
  channel: Channel,
  notify: (payload: string) => void,
  onConnected: () => void = () => undefined,
): Listener {
  let session: Promise<Session | undefined> | undefined;
  let closed = false;

  async function connect(): Promise<Session> {
    const opened = await openSession(connectionString, name);
    opened.gone.addEventListener('abort', () => (session = undefined), { once: true });
    try {
      await listen(opened, channel, notify);
    } catch (error) {
      await opened.end();
      throw error;
    }
    keepAsking(opened);
    onConnected();
    return opened;
  }

  return {
    keepConnected() {
      if (!closed) session ??= connect().catch(() => (session = undefined));
    },
    async close() {
      closed = true;
      await (await session)?.end();
    },
  };
}
