/** Rings on each NOTIFY of a channel, over a session of its own. */
import { keepAsking, openSession, type Session } from './connect.ts';

export interface Listener {
  /** Where the session is gone, begins another. */
  keepConnected(): void;
  close(): Promise<void>;
}

/** Connects by itself; never throws. A ring may be lost, so whoever listens also looks from time to time, and keeps it connected then. */
export function createListener(
  connectionString: string,
  { channel, name, ring }: { readonly channel: string; readonly name: string; readonly ring: () => void },
): Listener {
  let session: Session | undefined;
  let connecting: Promise<void> | undefined;
  let closed = false;

  async function connect(): Promise<void> {
    try {
      const opened = await openSession(connectionString, name);
      opened.gone.addEventListener('abort', () => (session = undefined));
      opened.client.on('notification', ring);
      await opened.client.query(`LISTEN ${channel}`);
      keepAsking(opened);
      session = opened;
    } catch {
      // whoever listens looks by itself until the next try
    } finally {
      connecting = undefined;
    }
  }

  const keepConnected = () => {
    if (!session && !closed) connecting ??= connect();
  };
  keepConnected();
  return {
    keepConnected,
    async close() {
      closed = true;
      await connecting;
      await session?.end();
    },
  };
}
