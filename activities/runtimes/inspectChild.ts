/** The child process that reads one uploaded file. It holds no credentials; a file that takes its time or memory takes down it alone. */
import { open, readFile } from 'node:fs/promises';
import { inspectModel } from '../../domain/formats/inspect.ts';
import { compareTensors, isRefusal, safetensorsHead, type Tensor } from '../../domain/formats/safetensors/index.ts';
import type { FromInspector, ToInspector } from './inspectProtocol.ts';

async function inspect({ path, out, mostBytes }: ToInspector): Promise<FromInspector> {
  const found = inspectModel(await readFile(path), mostBytes);
  if (isRefusal(found)) return { kind: 'refused', code: found.code, detail: found.detail };
  if (found.format === 'safetensors') await writeCanonical(out, found.tensors);
  return { kind: found.format };
}

/** Part by part: a second copy of the tensors would be half of the memory there is. */
async function writeCanonical(path: string, tensors: readonly Tensor[]): Promise<void> {
  const ordered = [...tensors].sort(compareTensors);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(safetensorsHead(ordered));
    for (const { data } of ordered) await file.writeFile(data);
  } finally {
    await file.close();
  }
}

process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToInspector) => {
  const fail = (error: unknown) =>
    process.send!({ kind: 'refused', code: 'server_error', detail: String(error) } satisfies FromInspector);
  inspect(message).then((answer) => process.send!(answer), fail);
});
