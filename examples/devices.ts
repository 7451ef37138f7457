/**
 * `npx tsx examples/devices.ts URL KEY_FILE MODEL`: 20 simulated devices that train whenever a round is open, and 100 that run
 * the version they are told and report. They work until Ctrl-C.
 */
import { readFileSync } from 'node:fs';
import { reportingFleet, trainingFleet } from './simulator/fleet.ts';
import { holdOut, loadMails, splitOverDevices } from './simulator/mails.ts';

const [baseUrl, keyFile, model] = process.argv.slice(2);
if (!baseUrl || !keyFile || !model) {
  console.error('usage: npx tsx examples/devices.ts URL KEY_FILE MODEL');
  process.exit(2);
}
const connection = { baseUrl, apiKey: readFileSync(keyFile, 'utf8').trim() };
const { train } = holdOut(loadMails(['easy-ham-1', 'hard-ham-1', 'spam-1']));
const trainers = trainingFleet(connection, splitOverDevices(train, 20));
const phones = reportingFleet(connection, model, 100, () => ({ ok: true, latencyMs: 9 }));

const report = setInterval(() => {
  console.log(`updates accepted: ${trainers.accepted}; phones hold ${JSON.stringify(phones.holding())}`);
}, 2000);
process.once('SIGINT', () => {
  clearInterval(report);
  trainers.stop();
  phones.stop();
});
await Promise.all([trainers.run(), phones.run()]);
