/** What a chart may not do: wait, start others, end. */
import { describe, expect, it } from 'vitest';
import type { StateNode } from 'xstate';
import { machineOf } from './registry.ts';

/** Every node below `node`, itself first. */
function nodesOf(node: StateNode): StateNode[] {
  return [node, ...Object.values(node.states).flatMap((child) => nodesOf(child))];
}

const isAssign = (action: unknown): boolean =>
  typeof action === 'function' && 'type' in action && action.type === 'xstate.assign';

describe.each(Object.values(machineOf))('$name', (machine) => {
  const { chart } = machine;
  const nodes = nodesOf(chart.root as StateNode);
  const named = chart.implementations.actions as Record<string, unknown>;

  it('waits for nothing and starts nothing: no invoke, after, always, spawn or systemId', () => {
    for (const node of nodes) {
      expect(node.config.invoke, node.id).toBeUndefined();
      expect(node.config.after, node.id).toBeUndefined();
      expect(node.config.always, node.id).toBeUndefined();
    }
    expect(JSON.stringify(chart.config)).not.toMatch(/systemId|spawn/);
  });

  it('changes nothing but its context', () => {
    for (const [name, action] of Object.entries(named)) expect(isAssign(action), name).toBe(true);
    const used = nodes.flatMap((node) => [
      ...node.entry,
      ...node.exit,
      ...[...node.transitions.values()].flat().flatMap((t) => t.actions),
    ]);
    for (const action of used) {
      expect(typeof action === 'string' ? isAssign(named[action]) : isAssign(action)).toBe(true);
    }
  });

  it('never ends by XState: facts may follow in the last states, and a stopped machine takes none', () => {
    expect(nodes.filter((node) => node.type === 'final')).toEqual([]);
  });

  it('begins with one constant context', () => {
    expect(typeof chart.config.context).toBe('object');
    expect(machine.initial().context).toEqual(machine.initial().context);
  });

  it('forbids no fact with an empty transition, which would pass as accepted', () => {
    for (const node of nodes) {
      for (const [type, transitions] of Object.entries(node.config.on ?? {})) {
        for (const t of [transitions].flat() as (string | Record<string, unknown> | undefined)[]) {
          expect(t, `${node.id} ${type}`).toBeDefined();
          if (typeof t === 'object') expect(Boolean(t['target'] ?? t['actions']), `${node.id} ${type}`).toBe(true);
        }
      }
    }
  });
});
