/** Forms with one file (RFC 7578), as it comes: fields are held, the file is handed on in parts. */
import { Busboy, type BusboyFileStream } from '@fastify/busboy';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LifecycleError } from '../../domain/errors.ts';
import { checkJson } from '../../domain/hash/soundJson.ts';

/** Fields of a form, in bytes and in number; each is a name, a number or a few sentences. */
const FIELD_BYTES = 16 * 1024;
const FIELDS = 50;

export interface Form<T> {
  readonly fields: ReadonlyMap<string, string>;
  /** What `take` made of the file; undefined where there was none. */
  readonly file: T | undefined;
}

const refused = (detail: string, pointer = '') =>
  new LifecycleError('invalid_input', `${detail}.`, { errors: [{ pointer, detail }] });

/** @throws LifecycleError `unsupported_media_type` */
export function requireForm(contentType: string | undefined): void {
  if (/^multipart\/form-data\s*;.*boundary=/i.test(contentType ?? '')) return;
  throw new LifecycleError('unsupported_media_type', 'Send multipart/form-data with a boundary.');
}

/**
 * Fields in any order, before or after the file.
 *
 * @param name of the member that holds the file
 * @param take reads the file to its end; what it throws ends the form
 * @throws LifecycleError `invalid_input` for another file, a second one, or fields beyond the limits; `body_incomplete`; what `body` and `take`
 *   throw
 */
export async function readForm<T>(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
  name: string,
  take: (file: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<Form<T>> {
  const parser = new Busboy({
    headers: { 'content-type': contentType },
    limits: { fieldSize: FIELD_BYTES, fields: FIELDS, files: 2 },
  });
  const fields = new Map<string, string>();
  let stream: BusboyFileStream | undefined;
  let taken: Promise<T> | undefined;
  const end = (error: Error) => {
    stream?.destroy(error);
    parser.destroy(error);
  };
  parser.on('field', (field, value, isNameCut, isCut) => {
    if (isNameCut || isCut) end(refused(`${field} is longer than ${FIELD_BYTES} bytes`, `/${field}`));
    else fields.set(field, value);
  });
  parser.on('fieldsLimit', () => end(refused(`the form has more than ${FIELDS} fields`)));
  parser.on('file', (field, file) => {
    file.on('error', () => undefined); // its reader is told
    if (field !== name || taken !== undefined) {
      file.resume();
      const what = field === name ? `a second ${name}` : `the file ${field}`;
      end(refused(`the form has ${what}; one file is taken, as ${name}`, `/${field}`));
      return;
    }
    stream = file;
    taken = take(file);
    taken.catch(end);
  });
  try {
    await pipeline(Readable.from(body, { objectMode: false }), parser);
    const file = await taken;
    checkJson(Object.fromEntries(fields)); // what no reader of the log could hold
    return { fields, file };
  } catch (error) {
    stream?.destroy(error instanceof Error ? error : undefined);
    await taken?.then(undefined, () => undefined);
    if (error instanceof LifecycleError) throw error;
    throw new LifecycleError(
      'body_incomplete',
      'The form ended early, or is not as its boundary says.',
      {},
      { cause: error },
    );
  }
}
