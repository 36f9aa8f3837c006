// Adds up the JSON reports of vitest in a folder and prints "N passed, N failed" as the last line.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  passed += report.numPassedTests;
  // A file that could not even be loaded is a failure without a test.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  failed += report.numFailedTests + broken;
  if (report.numPendingTests + report.numTodoTests > 0) {
    console.error(`${name}: ${report.numPendingTests + report.numTodoTests} tests were skipped`);
    failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
