/** A whole product of a test file's own, as `npm start` would run it, and what tests ask of it. */
import { readFileSync } from 'node:fs';
import { removeHome, startStack, type Stack } from '../../dev/stack.ts';
import type { StackOptions } from '../../dev/stackParts.ts';
import { Audit } from '../../sdk/audit.ts';
import { connect } from '../../sdk/index.ts';
import { testHome } from '../support/services.ts';

export interface Product {
  readonly stack: Stack;
  readonly adminKey: string;
  readonly client: ReturnType<typeof connect>;
  readonly audit: Audit;
  end(): Promise<void>;
}

export async function startProduct(
  kind: string,
  lines: string[] = [],
  { commands = {}, env = {} }: Pick<StackOptions, 'commands' | 'env'> = {},
): Promise<Product> {
  const home = testHome(kind);
  const stack = await startStack({ home, external: {}, say: (line) => void lines.push(line), commands, env });
  const adminKey = readFileSync(stack.keyFile, 'utf8').trim();
  const client = connect({ baseUrl: stack.url, apiKey: adminKey, attempts: 8 });
  return {
    stack,
    adminKey,
    client,
    audit: new Audit(client.http),
    end: async () => {
      await stack.stop();
      removeHome(home);
    },
  };
}

/** Asks until `ask` answers something, without a limit of its own: the test's time-out is the limit. */
export async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
