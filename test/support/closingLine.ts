/** Prints `N passed, N failed` alone on the last line, which is what CI counts. */
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node';

/** A file that does not load, a hook that fails and an error outside any test are failures too. */
export function closingLine(modules: readonly TestModule[], strayErrors: number): string {
  const count = { passed: 0, failed: strayErrors, skipped: 0 };
  for (const module of modules) {
    if (module.errors().length > 0) count.failed += 1;
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) count.failed += 1;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      count[state === 'pending' ? 'skipped' : state] += 1;
    }
  }
  return `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`;
}

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    const line = closingLine(modules, errors.length + (reason === 'interrupted' ? 1 : 0));
    // The last thing printed: other reporters and the global teardown have their say first.
    process.once('exit', () => process.stdout.write(`\n${line}\n`));
  }
}
