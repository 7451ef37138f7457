/** `model@1`: every state and command. */
import { describe, expect, it } from 'vitest';
import { cellOf, row, tableOf } from './decisions.fixture.ts';
import { given, model as f, NOW, sha } from './facts.fixture.ts';
import { decideModel, modelMachine, type ModelCommand } from './model.ts';

const at = (...facts: Parameters<typeof given>[1]) => given(modelMachine, facts);
const decide = (state: ReturnType<typeof at>, command: ModelCommand) => decideModel(state, command, NOW);

const states = {
  None: at(),
  Registered: at(f.registered, f.declared, f.listed('1.0.0'), f.changed('1.0.0', null)),
};
const columns = Object.keys(states);

const commands: Record<string, ModelCommand> = {
  register: { type: 'register', data: f.registered.data },
  declareContract: { type: 'declareContract', data: { contract: {}, digest: sha('9') } },
  listVersion: { type: 'listVersion', version: '1.0.1' },
  changeStable: { type: 'changeStable', version: '1.1.0', rolloutId: 42 },
  restoreStable: { type: 'restoreStable', version: '1.0.0', fromVersion: '1.1.0', rolloutId: 42, reason: 'iOS fails' },
};

describe('model@1, every state × command', () => {
  it('takes everything once it is registered', () => {
    expect(tableOf(states, commands, decide)).toEqual({
      register: row(columns, '✓ | ='),
      declareContract: row(columns, ' | ✓'),
      listVersion: row(columns, ' | ✓'),
      changeStable: row(columns, ' | ✓'),
      restoreStable: row(columns, 'state target | ✓'),
    });
  });
});

describe('guards of model@1', () => {
  it('register: another framework or use case under the same name is a conflict', () => {
    const other = decide(states.Registered, {
      type: 'register',
      data: { ...f.registered.data, framework: 'tensorflow' },
    });
    expect(cellOf(other)).toBe('sameModel');
    expect(other).toMatchObject({ refusal: { code: 'conflict' } });
  });

  it('declareContract: the declared one is declared already', () => {
    expect(decide(states.Registered, { type: 'declareContract', data: f.declared.data }).kind).toBe('already');
  });

  it('listVersion: above its line, and the refusal names the smallest legal version', () => {
    const listed = at(f.registered, f.listed('1.1.0'), f.listed('1.0.3'));
    for (const version of ['1.0.3', '1.0.2', '1.0.3-rc.1']) {
      const refused = decide(listed, { type: 'listVersion', version });
      expect(refused).toMatchObject({
        refusal: { code: 'version_not_monotone', guards: [{ met: true }, { name: 'monotone', met: false }] },
      });
      expect(refused.kind === 'refused' && refused.refusal.guards[1]!.how_to_meet).toContain('1.0.4');
    }
    for (const version of ['1.0.4', '1.2.0', '2.0.0', '0.9.0']) {
      expect(cellOf(decide(listed, { type: 'listVersion', version }))).toBe('✓');
    }
  });

  it('changeStable keeps the one before', () => {
    expect(decide(states.Registered, commands['changeStable']!)).toMatchObject({
      facts: [{ data: { version: '1.1.0', previous: '1.0.0' } }],
    });
  });

  it('the history ranks a restored version as the most recently stable', () => {
    const back = at(f.registered, f.changed('1.0.0', null), f.changed('1.1.0', '1.0.0'), f.restored('1.0.0', '1.1.0'));
    expect(back.context).toMatchObject({ stable: '1.0.0', stableHistory: ['1.1.0', '1.0.0'] });
  });
});
