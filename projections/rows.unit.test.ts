/** What a batch of facts does to stored rows. */
import { describe, expect, it } from 'vitest';
import { createRows } from './rows.ts';
import { add, del, factsTable, historyTable, need, put } from './table.ts';

const colours = historyTable<{ name: string; shade: number }>('colours', {
  key: ['name'],
  columns: { name: 'text', shade: 'bigint' },
});
const notes = factsTable<{ text: string }>('notes', { columns: { text: 'text' } });

const known = () => {
  const rows = createRows();
  rows.remember(colours, ['red'], { name: 'red', shade: 1 }, 4);
  rows.remember(colours, ['blue'], undefined, -1);
  return rows;
};

describe('rows of a batch', () => {
  it('closes the stored row and inserts the new one', () => {
    const rows = known();
    rows.apply([put(colours, { name: 'red', shade: 2 })], 9);
    expect(rows.get(colours, 'red')).toEqual({ name: 'red', shade: 2 });
    expect(rows.take().get(colours)).toEqual({
      closes: [{ key: ['red'], to: 9 }],
      inserts: [{ row: { name: 'red', shade: 2 }, from: 9, to: null }],
    });
  });

  it('closes a row of the same batch where it stands, so that each state is kept', () => {
    const rows = known();
    rows.apply([put(colours, { name: 'blue', shade: 1 })], 7);
    rows.apply([put(colours, { name: 'blue', shade: 2 })], 8);
    rows.apply([del(colours, 'blue')], 9);
    expect(rows.get(colours, 'blue')).toBeUndefined();
    expect(rows.take().get(colours)).toEqual({
      closes: [],
      inserts: [
        { row: { name: 'blue', shade: 1 }, from: 7, to: 8 },
        { row: { name: 'blue', shade: 2 }, from: 8, to: 9 },
      ],
    });
  });

  it('gives what changed once, and goes on from the rows it knows', () => {
    const rows = known();
    rows.apply([put(colours, { name: 'red', shade: 2 }), add(notes, { text: 'darker' })], 9);
    rows.take();
    rows.apply([put(colours, { name: 'red', shade: 3 })], 10);
    const taken = rows.take();
    expect(taken.get(notes)).toBeUndefined();
    expect(taken.get(colours)?.closes).toEqual([{ key: ['red'], to: 10 }]);
  });

  it('tells what is not loaded and refuses to guess it', () => {
    const rows = known();
    expect(rows.missing([need(colours, 'red'), need(colours, 'green')])).toEqual([need(colours, 'green')]);
    expect(() => rows.get(colours, 'green')).toThrow('not among the needs');
    expect(() => rows.apply([put(colours, { name: 'green', shade: 1 })], 9)).toThrow('not among the needs');
  });

  it('refuses two states of one key from one fact', () => {
    const rows = known();
    const twice = [put(colours, { name: 'red', shade: 2 }), put(colours, { name: 'red', shade: 3 })];
    expect(() => rows.apply(twice, 9)).toThrow('changed twice');
  });
});
