#!/usr/bin/env node
// Runs the TypeScript sources through tsx, so that a checkout needs no build.
import { register } from 'tsx/esm/api';

register();
const { main } = await import('./main.ts');
process.exitCode = await main(process.argv.slice(2));
