/**
 * Chromium without a screen, from the package that carries it for AWS Lambda (github.com/Sparticuz/chromium): the program, the libraries that
 * a bare system lacks, and fonts. It needs glibc alone, and no root. The package's own code is not run: it unpacks into the temporary folder.
 */
import { chmodSync, createReadStream, createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';

/** `exec`: a signal reaches the browser itself. */
const LAUNCHER = `#!/bin/sh
tool=$(dirname "$(dirname "$(readlink -f "$0")")")
export LD_LIBRARY_PATH="$tool/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" FONTCONFIG_FILE="$tool/fonts.conf"
exec "$tool/bin/headless-shell" "$@"
`;
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;

type Run = (command: string, args: readonly string[]) => Promise<void>;

/** Makes `<tool>/bin/chromium` of the package's tarball. `tool` may be moved afterwards. @throws Error of `tar`, or of bytes that are not what they should be */
export async function unpackChromium(tarball: string, tool: string, run: Run): Promise<void> {
  const bin = join(tool, 'bin');
  const packed = join(tool, 'package');
  mkdirSync(bin, { recursive: true });
  const untar = (file: string, into: string) => run('tar', ['-xf', file, '-C', into, '--no-same-owner']);
  const plain = async (name: string, file: string): Promise<string> => {
    await pipeline(createReadStream(join(packed, 'bin', name)), createBrotliDecompress(), createWriteStream(file));
    return file;
  };
  await untar(tarball, tool);
  await plain('chromium.br', join(bin, 'headless-shell'));
  // The libraries, in a folder `lib`; the fonts, in `fonts`; drawing without a graphics card, beside the program.
  await untar(await plain('al2023.tar.br', join(packed, 'lib.tar')), tool);
  await untar(await plain('fonts.tar.br', join(packed, 'fonts.tar')), tool);
  await untar(await plain('swiftshader.tar.br', join(packed, 'drawing.tar')), bin);
  writeFileSync(join(tool, 'fonts.conf'), FONTS);
  writeFileSync(join(bin, 'chromium'), LAUNCHER);
  for (const file of ['chromium', 'headless-shell']) chmodSync(join(bin, file), 0o755);
  rmSync(packed, { recursive: true });
}
