/** SQL that a DBA reviews lives in files beside this one; they are read once, at import. */
import { readFileSync } from 'node:fs';

/** Text of `store/sql/<name>.sql`. @throws the file system's error if there is no such file (a broken build) */
export function namedSql(name: string): string {
  return readFileSync(new URL(`./${name}.sql`, import.meta.url), 'utf8');
}
