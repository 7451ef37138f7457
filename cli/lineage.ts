/** The lineage tree as text. */
import type { Lineage, LineageNode } from '../sdk/types.ts';

function describe(node: LineageNode): string {
  const parts = [node.version, node.lifecycle_state];
  if (node.rounds !== null)
    parts.push(`${node.rounds} rounds, ${node.participants ?? 0} devices, ${node.samples ?? 0} samples`);
  if (node.accuracy !== null) parts.push(`accuracy ${node.accuracy.toFixed(4)}`);
  for (const r of node.rollouts) parts.push(`rollout ${r.id} ${r.status}`);
  return parts.join('  ·  ');
}

/** One line a version, children below the version they were trained from (or drafted from). */
export function renderLineage(lineage: Lineage): string[] {
  const lines = [lineage.name];
  const known = new Set(lineage.nodes.map((n) => n.version));
  const above = (n: LineageNode) => {
    const origin = n.base ?? n.parent;
    return origin !== null && known.has(origin) ? origin : null;
  };
  const draw = (origin: string | null, indent: string) => {
    const children = lineage.nodes.filter((n) => above(n) === origin);
    children.forEach((node, i) => {
      const last = i === children.length - 1;
      lines.push(`${indent}${last ? '└─ ' : '├─ '}${describe(node)}`);
      draw(node.version, indent + (last ? '   ' : '│  '));
    });
  };
  draw(null, '');
  return lines;
}
