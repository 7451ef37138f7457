/** Pure. The page `docs/statecharts.md`: every machine as a Mermaid state diagram, read from the chart itself. */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { toDirectedGraph, type DirectedGraphEdge, type DirectedGraphNode } from 'xstate/graph';
import { stateName } from '../machines/fold.ts';
import { machineOf } from '../machines/registry.ts';

/** A Mermaid id may hold no dots. */
const idOf = (node: AnyStateNode): string => node.path.join('_');

/** The part that the boxes around it do not say. A region of a parallel state has no box, so its name stays. */
function labelOf(node: AnyStateNode): string {
  return node.parent?.parent?.type === 'parallel' ? `${node.parent.key}.${node.key}` : node.key;
}

/** A guard's name; `stateIn` has no name, and the state that it asks for instead. */
function guardOf({ guard, source, eventType }: DirectedGraphEdge['transition']): string {
  if (guard === undefined) return (source.transitions.get(eventType)?.length ?? 0) > 1 ? ' [else]' : '';
  if (typeof guard === 'string') return ` [${guard}]`;
  if (typeof guard === 'function' && 'stateValue' in guard) return ` [in ${stateName(guard.stateValue)}]`;
  throw new Error('a guard without a name cannot be drawn: name it in setup()');
}

/** One arrow for each pair of states, with a line for each fact: many arrows between two boxes cannot be read. */
function arrowsOf(edges: readonly DirectedGraphEdge[]): string[] {
  const labels = new Map<string, string[]>();
  for (const { source, target, label, transition } of edges) {
    const arrow = `${idOf(source)} --> ${idOf(target)}`;
    labels.set(arrow, [...(labels.get(arrow) ?? []), `${label.text}${guardOf(transition)}`]);
  }
  return [...labels].map(([arrow, lines]) => `${arrow} : ${lines.join('<br/>')}`);
}

/** Whether no fact leads out of this state. */
function isLast(node: AnyStateNode): boolean {
  const around = [node, ...ancestorsOf(node)];
  const transitions = around.flatMap((one) => [...one.transitions.values()].flat());
  return transitions.every(({ target }) => target === undefined || target.every((one) => one === node));
}

const ancestorsOf = (node: AnyStateNode): AnyStateNode[] =>
  node.parent === undefined ? [] : [node.parent, ...ancestorsOf(node.parent)];

/** Every arrow below `graph`. */
const edgesBelow = (graph: DirectedGraphNode): DirectedGraphEdge[] =>
  graph.children.flatMap((child) => [...child.edges, ...edgesBelow(child)]);

const isWithin = (node: AnyStateNode, box: AnyStateNode): boolean =>
  node !== box && box.path.every((key, i) => node.path[i] === key);

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

/** What stands in the box of `graph`. An arrow that leaves a box is drawn outside: Mermaid would move its end into the box. */
function inside(graph: DirectedGraphNode): string[] {
  const { stateNode } = graph;
  const own = edgesBelow(graph).filter(
    ({ source, target }) =>
      isWithin(source, stateNode) &&
      isWithin(target, stateNode) &&
      !graph.children.some((child) => isWithin(source, child.stateNode) && isWithin(target, child.stateNode)),
  );
  const boxes = graph.children.flatMap(boxOf);
  const start = stateNode.initial.target.map((first) => `[*] --> ${idOf(first)}`);
  const ends = graph.children
    .map((child) => child.stateNode)
    .filter((node) => node.type === 'atomic' && isLast(node))
    .map((node) => `${idOf(node)} --> [*]`);
  return [...boxes, ...start, ...arrowsOf(own), ...ends];
}

function boxOf(graph: DirectedGraphNode): string[] {
  const { stateNode, children } = graph;
  const [id, label] = [idOf(stateNode), labelOf(stateNode)];
  const name = label === id ? id : `"${label}" as ${id}`;
  if (stateNode.type === 'atomic') return [label === id ? id : `state ${name}`];
  const regions = stateNode.type === 'parallel' ? children.map(inside) : [inside(graph)];
  const lines = regions.flatMap((region, i) => (i === 0 ? region : ['--', ...region]));
  return [`state ${name} {`, ...indented(lines), '}'];
}

/** A chart as Mermaid `stateDiagram-v2`. */
export function drawStatechart(chart: AnyStateMachine): string {
  return ['stateDiagram-v2', ...indented(inside(toDirectedGraph(chart)))].join('\n');
}

const HEAD = `# Statecharts

Generated from \`machines/\` by \`npx tsx dev/drawStatecharts.ts\`; do not edit this page.

An arrow is a fact, and the state that it leads to. A word in brackets is a guard of the chart: the fact is taken only if the guard
holds. A dotted line parts regions that run side by side. \`None\` is a stream without facts. A state that leads to the end mark is left
by no fact; it may still take facts that change only its data.
`;

/** The whole page. */
export function statechartsPage(): string {
  const parts = Object.values(machineOf).map(
    ({ name, chart }) =>
      `## ${name}\n\n\`machines/${chart.id}.ts\`\n\n\`\`\`mermaid\n${drawStatechart(chart)}\n\`\`\`\n`,
  );
  return [HEAD, ...parts].join('\n');
}
