/** Which version is the latest, and why none is. */
import { describe, expect, it } from 'vitest';
import { latestOf, whyNoLatest } from './semver.ts';

const why = (listed: readonly string[], bad: readonly string[] = []) =>
  whyNoLatest(listed, (version) => !bad.includes(version));

describe('where no version is the latest, it is said why', () => {
  it('knows nothing published from only pre-releases, and from everything rolled back', () => {
    expect(latestOf(['1.0.0-rc.1'])).toBeUndefined();
    expect(why([])).toBe('no version is published');
    expect(why(['1.0.0-rc.1', '1.0.0-rc.2'])).toBe(
      'no release is published, and a pre-release is never the latest: 1.0.0-rc.2, 1.0.0-rc.1',
    );
    expect(why(['1.0.0', '1.1.0'], ['1.0.0', '1.1.0'])).toBe('every release was rolled back');
    expect(why(['1.0.0', '1.1.0-rc.1'], ['1.0.0'])).toBe(
      'every release was rolled back, and a pre-release is never the latest: 1.1.0-rc.1',
    );
    expect(why(['1.0.0-rc.1'], ['1.0.0-rc.1'])).toBe('every published version was rolled back');
    expect(why(['1.0.0', '1.1.0-rc.1'], ['1.0.0', '1.1.0-rc.1'])).toBe('every release was rolled back');
  });
});
