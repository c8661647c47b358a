import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { ChainFollower } from "../src/audit/follow.ts";

/**
 * `node scripts/verify-audit.ts <file>`: whether the hash chains of an audit exported as NDJSON hold, by the file alone.
 * Exit code 0 when all do, 1 when one does not, 2 when it cannot be told.
 */
const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: node scripts/verify-audit.ts <audit.ndjson>");
  process.exit(2);
}
try {
  const follower = new ChainFollower();
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line !== "") follower.take(line);
  }
  const { chains, unchained, broken } = follower.result();
  for (const { subject, brokenAt } of broken) console.log(`✗ ${subject}: broken at record ${brokenAt}`);
  console.log(`${chains} chains, ${broken.length} broken, ${unchained} records without a chain`);
  process.exitCode = broken.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 2;
}
