/**
 * The devices that ask now, in memory: what an assignment needs of each, and what it was told last, so that the version question of a known
 * device reaches no database. A change that another server hears of is told by NOTIFY; a notification that is lost costs ten minutes of old words.
 */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { LRUCache } from 'lru-cache';
import type { Watch } from '../../domain/rollout/verdict/index.ts';
import type { OrgId } from '../../domain/org.ts';
import type { Pool } from '../connect.ts';
import { createListener, type Channel } from '../listen.ts';
import { queryableOf } from '../queryable.ts';
import type { Device, DeviceStore } from './deviceStore.ts';
import { createToldMarks } from './toldMarks.ts';

/** What routes need of a device that acts. */
export type ActiveDevice = Pick<Device, 'id' | 'orgId' | 'platform' | 'osVersion' | 'appVersion'> & {
  readonly region?: string | null;
};

export interface Told {
  readonly modelId: ModelId;
  readonly version: Semver;
  /** Of the pointer that was read: the same version under another epoch may have been another one meanwhile, on another server. */
  readonly epoch: number;
  /** The database's time. */
  readonly at: Date;
  readonly watch?: Watch | undefined;
}

export interface ActiveDevices {
  /**
   * By the id we issued, or by its own identifier. Undefined where it is not registered.
   *
   * @param said what the device's token says of it: taken where nothing is known, and looked up where another thing is
   * @throws the driver's error
   */
  find(orgId: OrgId, device: string, said?: ActiveDevice): Promise<ActiveDevice | undefined>;
  /**
   * Notes the answer to its version question; durable within a second, and nothing where it repeats the last one. A device that is watched is noted
   * again now and then: it was heard.
   */
  noteTold(device: ActiveDevice, told: Told): void;
  /** What is known of the device is old, here and on every other server. */
  changed(deviceId: string): void;
  /** Resolves once every answer noted before is durable. @throws the driver's error */
  flush(): Promise<void>;
  /** Writes what waits, and ends the session that listens. Never throws. */
  close(): Promise<void>;
}

const MOST = 100_000;
const KNOWN_MS = 10 * 60_000;
const NOTIFY_MS = 100;
const RECONNECT_MS = 1_000;
const IDS_IN_A_RING = 200; // a payload has fewer than 8,000 bytes
/** The last question of a device is known to this part of `silence.after`. */
const HEARD_PARTS = 36;
const CHANNEL: Channel = 'edgeml_devices';

interface Known {
  readonly device: ActiveDevice;
  /** Last told version and epoch, by model. */
  readonly told: Map<string, string>;
  /** When it was last noted as heard, by model and evidence stage. */
  readonly heard: Map<string, number>;
}

const isSame = (a: ActiveDevice, b: ActiveDevice): boolean =>
  a.platform === b.platform &&
  a.osVersion === b.osVersion &&
  a.appVersion === b.appVersion &&
  (a.region ?? null) === (b.region ?? null);

/** Whether a contact was noted so lately that this one changes nothing that matters; notes it otherwise. */
function wasHeard(heard: Map<string, number>, watch: Watch, at: number): boolean {
  const key = `${watch.rollout} ${watch.stage} ${watch.evidence_stage}`;
  const last = heard.get(key);
  if (last !== undefined && at - last < watch.after_ms / HEARD_PARTS) return true;
  heard.clear(); // of stages that are over
  heard.set(key, at);
  return false;
}

/** Connects by itself, again and again. The caller closes it, and ends the pool. */
export function createActiveDevices(
  devices: Pick<DeviceStore, 'getDevice'>,
  pool: Pool,
  connectionString: string,
): ActiveDevices {
  const known = new LRUCache<string, Known>({ max: MOST, ttl: KNOWN_MS });
  /** Which device a text names never changes, once there is such a device. */
  const ids = new LRUCache<string, string>({ max: MOST });
  const marks = createToldMarks(queryableOf(pool), ({ deviceId, modelId }) =>
    known.get(deviceId)?.told.delete(modelId),
  );
  /** A device that is read while it changes must not be kept. */
  let changes = 0;
  const notifying = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  function forget(id: string): void {
    changes += 1;
    known.delete(id);
  }

  function notify(): void {
    timer = undefined;
    const all = [...notifying];
    notifying.clear();
    for (let i = 0; i < all.length; i += IDS_IN_A_RING) {
      const payload = all.slice(i, i + IDS_IN_A_RING).join(',');
      pool.query('SELECT pg_notify($1, $2)', [CHANNEL, payload]).catch(() => undefined); // old words end by themselves
    }
  }

  const listener = createListener(
    connectionString,
    'listen devices',
    CHANNEL,
    (payload) => payload.split(',').forEach(forget),
    () => {
      changes += 1;
      known.clear(); // notifications were missed
    },
  );
  listener.keepConnected();
  const reconnect = setInterval(() => listener.keepConnected(), RECONNECT_MS);

  async function read(orgId: OrgId, text: string): Promise<Known | undefined> {
    const before = changes;
    const found = await devices.getDevice(orgId, text);
    if (!found) return undefined;
    const { id, platform, osVersion, appVersion, region } = found;
    const device = { id, orgId, platform, osVersion, appVersion, region };
    const one: Known = { device, told: new Map(), heard: new Map() };
    ids.set(`${orgId}\n${text}`, id);
    if (before === changes) known.set(id, one);
    return one;
  }

  return {
    async find(orgId, text, said) {
      const id = said?.id ?? ids.get(`${orgId}\n${text}`);
      const one = id === undefined ? undefined : known.get(id);
      if (one && (!said || isSame(one.device, said))) return one.device;
      if (one || !said) return (await read(orgId, text))?.device;
      const { platform, osVersion, appVersion, region = null } = said;
      const device = { id: said.id, orgId, platform, osVersion, appVersion, region };
      known.set(said.id, { device, told: new Map(), heard: new Map() });
      return device;
    },
    noteTold({ id }, { modelId, version, epoch, at, watch }) {
      const one = known.get(id);
      const now = `${version} ${epoch}`;
      const isHeard = watch === undefined || (one !== undefined && wasHeard(one.heard, watch, at.getTime()));
      if (isHeard && one?.told.get(modelId) === now) return;
      one?.told.set(modelId, now);
      marks.note({ deviceId: id, modelId, version, at, watch });
    },
    changed(id) {
      forget(id);
      notifying.add(id);
      timer ??= setTimeout(notify, NOTIFY_MS);
    },
    flush: marks.flush,
    async close() {
      clearInterval(reconnect);
      clearTimeout(timer);
      if (notifying.size > 0) notify();
      await marks.close();
      await listener.close();
    },
  };
}
