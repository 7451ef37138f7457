/** `docs/errors.md` and the catalogue are one list, and no code is only a promise. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../domain/errors.ts';

const root = join(import.meta.dirname, '..', '..');
const ROOMS = [
  'activities',
  'api',
  'audit',
  'commands',
  'domain',
  'machines',
  'projections',
  'relay',
  'store',
  'workflows',
];

interface Row {
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly title: string;
  readonly fix: string;
}

function documented(): Row[] {
  return readFileSync(join(root, 'docs/errors.md'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      const code = /^`([a-z_]+)`$/.exec(cells[1] ?? '')?.[1];
      if (code === undefined) return [];
      const [, , status = '', retryable = '', title = '', fix = ''] = cells;
      return [{ code, status: Number(status), retryable: retryable === 'yes', title, fix }];
    });
}

function sources(): string {
  return ROOMS.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((f) => join(room, f)),
  )
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== join('domain', 'errors.ts'))
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n');
}

describe('the error catalogue', () => {
  it('is what docs/errors.md says, row by row', () => {
    const rows = Object.entries(ERRORS).map(([code, row]) => ({ code, ...row }));
    expect(documented()).toEqual(
      rows.map(({ code, status, retryable, title, fix }) => ({ code, status, retryable, title, fix })),
    );
  });

  it('has no code that nothing uses', () => {
    const text = sources();
    expect(Object.keys(ERRORS).filter((code) => !text.includes(`'${code}'`))).toEqual([]);
  });
});
