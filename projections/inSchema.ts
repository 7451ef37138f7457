/** Lists read from another schema than the one they name: that of an earlier version of the read model. */
import {
  OperationNodeTransformer,
  type IdentifierNode,
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
} from 'kysely';

/** Only identifiers that Kysely knows are changed: a list must not hold a schema's name in raw text. */
class Renamer extends OperationNodeTransformer {
  readonly #names: ReadonlyMap<string, string>;
  constructor(names: ReadonlyMap<string, string>) {
    super();
    this.#names = names;
  }
  protected override transformIdentifier(node: IdentifierNode): IdentifierNode {
    return { ...node, name: this.#names.get(node.name) ?? node.name };
  }
}

/** @param names schema to read instead, by the schema that is named */
export function inSchema(names: ReadonlyMap<string, string>): KyselyPlugin {
  const renamer = new Renamer(names);
  return {
    transformQuery: ({ node, queryId }: PluginTransformQueryArgs) => renamer.transformNode(node, queryId),
    transformResult: ({ result }: PluginTransformResultArgs) => Promise.resolve(result),
  };
}
