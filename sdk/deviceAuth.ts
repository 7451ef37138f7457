/**
 * How a device shows who it is. It registers with the key of its fleet and speaks with its own token from then on; a server of before
 * tokens gives none, and the key goes on.
 */
import type { DeviceOptions } from './device.ts';
import { EdgeMLError } from './errors.ts';
import { Http, type Credentials } from './http.ts';
import type { RegisteredDevice } from './types.ts';

export class DeviceAuth implements Credentials {
  readonly #options: DeviceOptions;
  /** The same for each try: an answer that was lost does not leave the device claimed by nobody. */
  readonly #claim = globalThis.crypto.randomUUID();
  #token: string | undefined;
  #id: string | undefined;
  #registering: Promise<string> | undefined;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#token = options.token;
  }

  /** Registers on first use. */
  id(): Promise<string> {
    return this.#id === undefined ? this.#register() : Promise.resolve(this.#id);
  }

  bearer(): string | undefined {
    return this.#token ?? this.#options.apiKey;
  }

  /** Takes up the token of an answer, where it has one. */
  keep({ device_token: token }: { readonly device_token?: string }): void {
    if (token === undefined || token === this.#token) return;
    this.#token = token;
    this.#options.onToken?.(token);
  }

  /** @throws EdgeMLError what registering answers, such as `device_claimed` */
  async renew(refused: string | undefined): Promise<boolean> {
    if (refused !== this.bearer()) return true; // another call has renewed it
    if (this.#token === undefined) return false;
    await this.#register();
    return this.bearer() !== refused;
  }

  #register(): Promise<string> {
    return (this.#registering ??= this.#registerNow().finally(() => (this.#registering = undefined)));
  }

  async #registerNow(): Promise<string> {
    const { apiKey } = this.#options;
    const answer = (await this.#withToken()) ?? (await this.#ask(apiKey));
    this.keep(answer);
    return (this.#id = answer.id);
  }

  /** The token renews itself, also where it has expired; one that is refused is forgotten. */
  async #withToken(): Promise<RegisteredDevice | undefined> {
    if (this.#token === undefined) return undefined;
    try {
      return await this.#ask(this.#token);
    } catch (error) {
      if (!(error instanceof EdgeMLError) || error.status !== 401 || this.#options.apiKey === undefined) throw error;
      this.#token = undefined;
      return undefined;
    }
  }

  #ask(bearer: string | undefined): Promise<RegisteredDevice> {
    const { deviceIdentifier, platform, osVersion, appVersion, apiKey: _, ...transport } = this.#options;
    const http = new Http({ ...transport, ...(bearer === undefined ? {} : { apiKey: bearer }) });
    return http.json('POST', '/api/v1/devices/register', {
      body: {
        device_identifier: deviceIdentifier,
        platform,
        ...(osVersion === undefined ? {} : { os_version: osVersion }),
        ...(appVersion === undefined ? {} : { app_version: appVersion }),
      },
      idempotencyKey: this.#claim,
    });
  }
}
