/** `npx tsx examples/firstWeights.ts zero.safetensors`: first weights for the README's model, all zero. */
import { writeFileSync } from 'node:fs';
import { encodeModel } from '../sdk/index.ts';
import { toWeights } from './simulator/fleet.ts';
import { zeroParameters } from './simulator/logistic.ts';

const file = process.argv[2];
if (!file) {
  console.error('usage: npx tsx examples/firstWeights.ts FILE');
  process.exit(2);
}
writeFileSync(file, encodeModel(toWeights(zeroParameters())));
