/** The table of `docs/rollouts.md` is what pre-flight says. `UPDATE_PAGES=1` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createReader } from '../domain/rollout/specReader.ts';
import { preflight, readEvidence } from '../domain/rollout/verdict/index.ts';

const PAGE = join(import.meta.dirname, '..', 'docs/rollouts.md');
const FLEETS = [200, 2_000, 20_000, 200_000, 1_000_000];
const stages = [10, 25, 50, 75, 100].map((percent) => ({ percent, ramp: '2h', min_bake: '24h', max_bake: '48h' }));

/** Two platforms, each of one OS, one app version and one region. */
const fleetOf = (devices: number) => ({
  hasControl: true,
  measured: ['errors', 'crash'],
  leaves: [
    { platform: 'ios', osMajor: '17', app: '3.1', region: 'eu', devices: devices * 0.4 },
    { platform: 'android', osMajor: '14', app: '3.1', region: 'eu', devices: devices * 0.6 },
  ],
});

function rows(): string[] {
  const spec = { stages, evidence: readEvidence(createReader(), {}, stages.length) };
  return FLEETS.flatMap((devices) =>
    preflight(spec, fleetOf(devices)).map(({ stage, canary, metrics, canProve }) => {
      const convicts = (name: string) => {
        const times = metrics.find(({ metric }) => metric === name)?.convicts;
        return times === null || times === undefined ? '–' : `${times}×`;
      };
      const cells = [devices, `${stages[stage]!.percent} %`, canary, convicts('errors'), convicts('crash')];
      return [...cells.map((cell) => cell.toLocaleString('en')), canProve ? 'yes' : 'no'];
    }),
  ).map((cells) => cells.join(' | '));
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .map((cell) => cell.trim())
    .filter((cell) => cell !== '')
    .join(' | ');

it('tells what 200 to 1,000,000 devices can show', () => {
  const text = readFileSync(PAGE, 'utf8');
  const [, table] = /<!-- table: [^>]*-->\n\n([^]*?)\n\n<!-- end -->/.exec(text) ?? [];
  const [header, rule, ...shown] = (table ?? '').split('\n');
  // eslint-disable-next-line no-restricted-syntax -- a developer asks for the page to be written
  if (process.env['UPDATE_PAGES']) {
    const lines = [header, rule, ...rows().map((row) => `| ${row} |`)];
    writeFileSync(
      PAGE,
      text.replace(table!, () => lines.join('\n')),
    );
    return;
  }
  expect(shown.map(cellsOf)).toEqual(rows());
});
