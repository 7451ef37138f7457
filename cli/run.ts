/** The `edgeml` command as a program: what the built package runs. A checkout runs `bin.mjs`. */
import { main } from './main.ts';

process.exitCode = await main(process.argv.slice(2));
