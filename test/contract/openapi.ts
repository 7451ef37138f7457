/** Holds every answer against the document that the server itself publishes. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}
interface Operation {
  readonly requestBody?: Content;
  readonly parameters?: readonly { readonly schema: object }[];
  readonly responses: Readonly<Record<string, Content>>;
}
export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface Received {
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

export interface Contract {
  /** Every schema of the document, requests too, as JSON Schema 2020-12. @throws Error for the first that is none */
  compileAll(): number;
  /** @throws Error for a route, status or media type that is not documented, and for a body that does not fit */
  check(method: string, path: string, answer: Received): void;
}

/** Not documented on purpose: what is not offered, what is no route, and what is not JSON. */
const UNDOCUMENTED = new Set(['not_implemented', 'route_not_found']);

export function createContract(document: OpenApi): Contract {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const compiled = new Map<object, ValidateFunction>();
  // Static segments win over parameters.
  const templates = Object.keys(document.paths)
    .sort((a, b) => (a.match(/\{/g)?.length ?? 0) - (b.match(/\{/g)?.length ?? 0))
    .map((template) => ({ template, pattern: new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`) }));

  return {
    compileAll() {
      const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
      const bodies = operations.flatMap((o) => [
        ...Object.values(o.responses),
        ...(o.requestBody ? [o.requestBody] : []),
      ]);
      const contents = bodies.flatMap((b) => Object.values(b.content ?? {}));
      const all = [...contents, ...operations.flatMap((o) => o.parameters ?? [])].map((c) => c.schema);
      for (const schema of all) ajv.compile(schema);
      return all.length;
    },
    check(method, sent, { status, contentType, body }) {
      const path = sent.replace(/(?<=.)\/$/, '');
      const code = typeof body === 'object' && body !== null && 'code' in body ? String(body.code) : '';
      const route = templates.find((t) => t.pattern.test(path) && document.paths[t.template]?.[method.toLowerCase()]);
      if (!route) {
        if (UNDOCUMENTED.has(code) || status === 401) return;
        throw new Error(`${method} ${path} answered ${status} and is not documented`);
      }
      const { responses } = document.paths[route.template]![method.toLowerCase()]!;
      if (method === 'HEAD' || status === 304) return;
      const response = responses[String(status)] ?? responses[`${Math.floor(status / 100)}XX`];
      if (!response) throw new Error(`${method} ${route.template}: status ${status} is not documented`);
      const schema = response.content?.[contentType]?.schema;
      if (!schema)
        throw new Error(`${method} ${route.template} ${status}: media type ${contentType} is not documented`);
      if (!/[/+]json$/.test(contentType)) return;
      let validate = compiled.get(schema);
      if (!validate) compiled.set(schema, (validate = ajv.compile(schema)));
      if (validate(body)) return;
      const why = validate.errors?.slice(0, 5).map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
      throw new Error(
        `${method} ${route.template} ${status} does not fit: ${why?.join('; ')}\n${JSON.stringify(body).slice(0, 600)}`,
      );
    },
  };
}
