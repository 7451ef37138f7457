/** The one reader of `process.env`. Processes take from it and hand values on. */

export type Environment = Readonly<Record<string, string | undefined>>;

/** Ours, live: what is set later is seen. */
export const processEnvironment = (): Environment => process.env;

/** An empty variable counts as unset, which is what `NAME=` in an env file means to a person. */
export const variable = (env: Environment, name: string): string | undefined => env[name]?.trim() || undefined;

/** The environment a child process starts from: ours, and on top what it is told. */
export function childEnvironment(added: Environment, env: Environment = processEnvironment()): Record<string, string> {
  const merged = Object.entries({ ...env, ...added });
  return Object.fromEntries(merged.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

const OF_DRIVER = /^(PG[A-Z]+|HOME|NODE_EXTRA_CA_CERTS)$/;

/** What the driver of Postgres reads where the address of the database leaves it open, for a child process that gets nothing else. */
export function driverEnvironment(env: Environment = processEnvironment()): Record<string, string> {
  const all = Object.entries(childEnvironment({}, env));
  return Object.fromEntries(all.filter(([name]) => OF_DRIVER.test(name)));
}

/** What the `edgeml` command reads. `EDGEML_API_BASE` is the older SDKs' name and ends in `/api/v1`. */
export function readClientEnv(env: Environment = processEnvironment()): {
  readonly url?: string;
  readonly apiKey?: string;
} {
  const url = variable(env, 'EDGEML_URL') ?? variable(env, 'EDGEML_API_BASE')?.replace(/\/api\/v1\/?$/, '');
  const apiKey = variable(env, 'EDGEML_API_KEY');
  return { ...(url === undefined ? {} : { url }), ...(apiKey === undefined ? {} : { apiKey }) };
}
