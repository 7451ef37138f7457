/** Chromium for tests: found or fetched as the servers of the stack are (`dev/binaries.ts`), and never left out. */
import { chromium, type Browser } from 'playwright-core';
import { readDevSettings } from '../../dev/settings.ts';
import { findBinary } from '../../dev/binaries.ts';

/** It calls nobody but the page it is given. */
const QUIET = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/**
 * A browser without a screen; the caller closes it. The first call of a machine may fetch it, which takes a minute: give the hook the time.
 *
 * @throws Error that lists every way to get one
 */
export async function openBrowser(): Promise<Browser> {
  const { file } = await findBinary('chromium', readDevSettings(), (line) => void process.stderr.write(`${line}\n`));
  return chromium.launch({ executablePath: file, args: QUIET });
}
