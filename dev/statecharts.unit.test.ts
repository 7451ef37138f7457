/** `docs/statecharts.md` shows the charts that run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createMachine, setup, stateIn } from 'xstate';
import { CHECKOUT } from './reach.ts';
import { drawStatechart, statechartsPage } from './statecharts.ts';

describe('the drawings of the statecharts', () => {
  it('are those of the machines', () => {
    const page = readFileSync(join(CHECKOUT, 'docs/statecharts.md'), 'utf8');
    expect(page, 'A chart has changed. Draw it again: npx tsx dev/drawStatecharts.ts').toBe(statechartsPage());
  });

  it('draw boxes in boxes, regions, guards, and an arrow that leaves its box outside of it', () => {
    const chart = setup({ guards: { ready: () => true } }).createMachine({
      id: 'fake',
      initial: 'A',
      states: {
        A: {
          initial: 'x',
          states: {
            x: { on: { Go: [{ guard: 'ready', target: 'y' }, { target: '#fake.C' }] } },
            y: { on: { Told: { actions: () => undefined } } },
          },
          on: { Part: 'B' },
        },
        B: {
          type: 'parallel',
          states: {
            left: { initial: 'on', states: { on: { on: { Off: 'off' } }, off: {} } },
            right: {
              initial: 'up',
              states: { up: { on: { Down: { guard: stateIn({ B: { left: 'off' } }), target: 'down' } } }, down: {} },
            },
          },
          on: { End: 'C' },
        },
        C: {},
      },
    });
    expect(drawStatechart(chart).split('\n')).toEqual([
      'stateDiagram-v2',
      '  state A {',
      '    state "x" as A_x',
      '    state "y" as A_y',
      '    [*] --> A_x',
      '    A_x --> A_y : Go [ready]',
      '    A_y --> A_y : Told',
      '  }',
      '  state B {',
      '    state "left.on" as B_left_on',
      '    state "left.off" as B_left_off',
      '    [*] --> B_left_on',
      '    B_left_on --> B_left_off : Off',
      '    --',
      '    state "right.up" as B_right_up',
      '    state "right.down" as B_right_down',
      '    [*] --> B_right_up',
      '    B_right_up --> B_right_down : Down [in B.left.off]',
      '  }',
      '  C',
      '  [*] --> A',
      '  A --> B : Part',
      '  A_x --> C : Go [else]',
      '  B --> C : End',
      '  C --> [*]',
    ]);
  });

  it('refuse a guard that has no name', () => {
    const chart = createMachine({ initial: 'A', states: { A: { on: { Go: { guard: () => true, target: 'A' } } } } });
    expect(() => drawStatechart(chart)).toThrow(/name it in setup/);
  });
});
