/** Chromium as a fresh machine gets it: fetched, moved to where it stays, with letters and a drawing surface of its own. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, expect, it } from 'vitest';
import { readDevSettings } from './settings.ts';
import { installers } from './installers.ts';
import { PINS } from './pins.ts';

const work = mkdtempSync(join(tmpdir(), 'edgeml-chromium-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it.skipIf(PINS.chromium.sha256[`${process.platform}-${process.arch}`] === undefined)(
  'runs and draws',
  async () => {
    const pin = PINS.chromium;
    const sha256 = pin.sha256[`${process.platform}-${process.arch}`]!;
    for (const { install } of installers({ pin, sha256, work, path: readDevSettings().path, signal: undefined }))
      await install();
    expect(readdirSync(join(work, 'tool')).sort()).toEqual(['bin', 'fonts', 'fonts.conf', 'lib']);
    const browser = await chromium.launch({ executablePath: join(work, 'tool', 'bin', 'chromium') });
    try {
      const page = await browser.newPage();
      await page.setContent(
        '<span style="font: 40px Open Sans">iiii</span><br><span style="font: 40px Open Sans">mmmm</span>',
      );
      // A box for a letter that no font has is as wide as any other.
      const widths = `[...document.querySelectorAll('span')].map((span) => span.getBoundingClientRect().width)`;
      const [narrow, wide] = await page.evaluate<number[]>(widths);
      expect(wide).toBeGreaterThan(2 * narrow!);
      expect(await page.evaluate(`document.createElement('canvas').getContext('webgl2') !== null`)).toBe(true);
    } finally {
      await browser.close();
    }
  },
  300_000,
);
