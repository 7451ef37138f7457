/** Pure. In which order layers run. A file has no order of its own: numbers in names say it, or widths that fit in one way only. */
import { compareUtf8 } from './safetensors/order.ts';

export interface MlpLayer {
  /** Names as in the file. `weight` is [out, in]. */
  readonly weight: string;
  readonly bias: string | null;
  readonly inDim: number;
  readonly outDim: number;
}

/** Most layers whose order is looked for by width: beyond, names that count are asked for. Bounds the work on a file of strangers. */
const MOST_BY_WIDTH = 100;

/** Order of two runs of digits as numbers, of any length. */
function compareDigits(a: string, b: string): number {
  const x = a.replace(/^0+/, '');
  const y = b.replace(/^0+/, '');
  return x.length - y.length || compareUtf8(x, y);
}

/** Names as people count: `fc2` before `fc10`. What is equal so far is decided by UTF-8 order. */
export function compareNatural(a: string, b: string): number {
  const as = a.match(/\d+|\D+/g) ?? [];
  const bs = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(as.length, bs.length); i += 1) {
    const x = as[i]!;
    const y = bs[i]!;
    const areNumbers = /^\d/.test(x) && /^\d/.test(y);
    const order = areNumbers ? compareDigits(x, y) : compareUtf8(x, y);
    if (order !== 0) return order;
  }
  return as.length - bs.length || compareUtf8(a, b);
}

/** `fc01` and `fc1` are one number, and so say nothing of their order. */
const plain = (name: string) => name.replace(/\d+/g, (digits) => digits.replace(/^0+(?=\d)/, ''));

/** Layers whose names differ in their digits only, in the order of these; a name without a like is a row of its own. */
function numberedRows(layers: readonly MlpLayer[]): MlpLayer[][] {
  const rows = new Map<string, MlpLayer[]>();
  const names = new Set<string>();
  for (const layer of [...layers].sort((a, b) => compareNatural(a.weight, b.weight))) {
    const name = plain(layer.weight);
    const row = names.has(name) ? layer.weight : name.replace(/\d+/g, '0');
    names.add(name);
    const before = rows.get(row);
    if (before) before.push(layer);
    else rows.set(row, [layer]);
  }
  return [...rows.values()];
}

/** Whether every layer can still be reached by walking on from `width`. */
function areReachable(layers: readonly MlpLayer[], width: number): boolean {
  const reached = new Set([width]);
  for (const at of reached) for (const layer of layers) if (layer.inDim === at) reached.add(layer.outDim);
  return layers.every((layer) => reached.has(layer.inDim));
}

/**
 * The one order in which the layers run from `inputDim`: by the numbers in their names where these differ in digits only, else the
 * only one in which each layer takes what the one before gives and which no number contradicts. Like Fleury's walk: a step is
 * possible if all other layers can be reached after it; two possible steps are two orders.
 *
 * @returns the layers in order, not checked against the widths where numbers said it all; undefined where several orders fit, or none
 */
export function orderLayers(layers: readonly MlpLayer[], inputDim: number): readonly MlpLayer[] | undefined {
  const rows = numberedRows(layers);
  if (rows.length <= 1) return rows[0] ?? [];
  if (layers.length > MOST_BY_WIDTH) return undefined;
  const ordered: MlpLayer[] = [];
  let width = inputDim;
  while (ordered.length < layers.length) {
    const possible = rows.filter(([next, ...later]) => {
      if (next?.inDim !== width) return false;
      const others = rows.filter((row) => row[0] !== next).flat();
      return areReachable([...later, ...others], next.outDim);
    });
    const next = possible.length === 1 ? possible[0]!.shift() : undefined;
    if (!next) return undefined;
    ordered.push(next);
    width = next.outDim;
  }
  return ordered;
}
