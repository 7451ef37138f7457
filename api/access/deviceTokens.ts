/** Tokens of devices: whoever holds one speaks for this device until it expires, and for no other. Signed, and stored nowhere. */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { asOrgId } from '../../domain/org.ts';
import { cutText } from '../../domain/text.ts';
import type { Device } from '../../store/devices/deviceStore.ts';

export const TOKEN_TTL_MS = 24 * 3_600_000;
const KEY_ID = '1';
/** Key id, what it says, MAC of both; base64url. */
const FORM = /^ed_([0-9A-Za-z]{1,8})\.([\w-]{1,4000})\.([\w-]{43})$/;
/** Code points of an attribute: longer ones are no platform and no version, and a token must fit into a header. */
const ATTRIBUTE_MOST = 100;

/** What a token says of its device: all that its questions are answered from. */
export interface TokenDevice extends Pick<
  Device,
  'id' | 'orgId' | 'generation' | 'platform' | 'osVersion' | 'appVersion'
> {
  readonly region?: string | null;
  /** Of a test key: good on the same machine only. */
  readonly isTest: boolean;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface DeviceTokens {
  /** Good for a day from `now` (Unix ms). */
  issue(
    device: Omit<TokenDevice, 'issuedAt' | 'expiresAt'>,
    now: number,
  ): { readonly token: string; readonly expiresAt: Date };
  /** What it says, expired or not; undefined for a text that `issue` did not make with this secret. */
  read(token: string): TokenDevice | undefined;
}

type Attributes = Pick<Device, 'platform' | 'osVersion' | 'appVersion'> & { readonly region?: string | null };
const short = (text: string | null) => (text === null ? null : cutText(text, ATTRIBUTE_MOST));

/** The attributes of a device as its token says them. */
export const attributesOf = ({ platform, osVersion, appVersion, region }: Attributes): Required<Attributes> => ({
  platform: short(platform),
  osVersion: short(osVersion),
  appVersion: short(appVersion),
  region: short(region ?? null),
});

/** Nobody else's secret looks like this; a key that an operator imported is no token. */
export const isTokenForm = (secret: string): boolean => FORM.test(secret);

/** Named as on the wire; what is null is left out. */
interface Payload {
  readonly org: string;
  readonly device: string;
  readonly generation: number;
  readonly iat: number;
  readonly exp: number;
  readonly platform?: string;
  readonly os_version?: string;
  readonly app_version?: string;
  readonly region?: string;
  readonly test?: true;
}

/** @param secret bytes of the secret file; the signing key is derived from it by HKDF under a label of its own */
export function createDeviceTokens(secret: Uint8Array): DeviceTokens {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'edgeml device tokens v1', 32));
  const macOf = (signed: string) => createHmac('sha256', key).update(signed).digest('base64url');
  return {
    issue({ id, orgId, generation, isTest, ...said }, now) {
      const { platform, osVersion, appVersion, region } = attributesOf(said);
      const iat = Math.floor(now / 1_000);
      const exp = iat + TOKEN_TTL_MS / 1_000;
      const payload: Payload = {
        ...{ org: orgId, device: id, generation, iat, exp },
        ...(platform === null ? {} : { platform }),
        ...(osVersion === null ? {} : { os_version: osVersion }),
        ...(appVersion === null ? {} : { app_version: appVersion }),
        ...(region === null ? {} : { region }),
        ...(isTest ? { test: true as const } : {}),
      };
      const signed = `ed_${KEY_ID}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
      return { token: `${signed}.${macOf(signed)}`, expiresAt: new Date(exp * 1_000) };
    },
    read(token) {
      const [, keyId, body = '', mac = ''] = FORM.exec(token) ?? [];
      if (keyId !== KEY_ID) return undefined;
      // As texts: two spellings of one MAC are two tokens, of which one is ours.
      const expected = macOf(token.slice(0, -mac.length - 1));
      if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected))) return undefined;
      // Ours, by its MAC.
      const said = JSON.parse(Buffer.from(body, 'base64url').toString()) as Payload;
      return {
        id: said.device,
        orgId: asOrgId(said.org),
        generation: said.generation,
        platform: said.platform ?? null,
        osVersion: said.os_version ?? null,
        appVersion: said.app_version ?? null,
        ...(said.region === undefined ? {} : { region: said.region }),
        isTest: said.test ?? false,
        issuedAt: said.iat,
        expiresAt: said.exp,
      };
    },
  };
}
