// Adds up the JSON reports of vitest in a folder, names again what failed, as that is far up by now, and
// prints "N passed, N failed" as the last line.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const LINES_MAX = 12;

const [folder] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  for (const file of report.testResults) {
    // A file that could not even be loaded, or whose hooks failed, is a failure without a test.
    const isBroken =
      file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed');
    if (isBroken) failed += 1;
    if (isBroken) tell(file.name, 'could not be run', file.message);
    for (const test of file.assertionResults) {
      if (test.status === 'failed') tell(file.name, test.fullName, test.failureMessages.join('\n'));
    }
  }
  if (report.numPendingTests + report.numTodoTests > 0) {
    console.log(`${name}: ${report.numPendingTests + report.numTodoTests} tests were skipped`);
    failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function tell(path, name, message) {
  console.log(`FAILED ${relative(process.cwd(), path)}: ${name}`);
  for (const line of message.split('\n').slice(0, LINES_MAX)) console.log(`  ${line}`);
}
