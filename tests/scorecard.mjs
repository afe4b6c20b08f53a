// Makes target/scorecard.json and target/scorecard.md of what the reliability tests have written down.
// Usage: node tests/scorecard.mjs <target directory>

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const target = process.argv[2] ?? "target";
const folder = join(target, "tmp", "scorecard");
const rows = existsSync(folder)
  ? readdirSync(folder).sort().map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")))
  : [];
if (rows.length === 0) {
  console.error(`nothing in ${folder}: the reliability tests have not run`);
  process.exit(1);
}
const failures = rows.reduce((sum, row) => sum + row.failures, 0);
const runs = rows.reduce((sum, row) => sum + row.runs, 0);
const lines = rows.map((row) => `| ${row.promise} | ${row.fault} | ${row.runs} | ${row.failures} |`);
const table = ["| Promise | Fault | Runs | Failures |", "|---|---|---|---|", ...lines, ""];
writeFileSync(join(target, "scorecard.json"), `${JSON.stringify({ runs, failures, rows }, null, 2)}\n`);
writeFileSync(join(target, "scorecard.md"), table.join("\n"));
console.log(`${rows.length} promises under ${runs} faults, ${failures} failures: ${join(target, "scorecard.md")}`);
process.exit(failures === 0 ? 0 : 1);
