import { idleHours } from "./idle.ts";
import { reconcileOnce } from "./pool-cpu.ts";

/**
 * What is measured in Node, in a process of its own: `node --import test/simulation/register.ts` lets the code of `src` run
 * there. Prints what it found as JSON on the last line.
 */
const [hours = 1, quiet = 1, changed = 1] = process.argv.slice(2).map(Number);

const cpu = async (times: number, dead: number): Promise<number[]> => {
  const found: number[] = [];
  for (let n = 0; n < times; n += 1) found.push(await reconcileOnce(dead));
  return found;
};

const idle = [...(await idleHours("idle", hours)), ...(await idleHours("asleep", hours))];
await cpu(3, 100); // until the code is compiled
const pool = { none: await cpu(quiet, 0), some: await cpu(changed, 100), all: await cpu(changed, 1_000) };
console.log(JSON.stringify({ idle, pool }));
