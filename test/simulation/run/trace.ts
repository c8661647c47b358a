import { playSeed } from "../play/seed.ts";

/** Plays one seed and prints every event as it fires; for `simulate --trace`. */
const [seed = "1", steps = "300"] = process.argv.slice(2);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const { hash, events, violations } = await playSeed(Number(seed), Number(steps), { trace: print });
for (const { rule, what } of violations) print(`VIOLATION ${rule}: ${what}`);
print(`seed ${seed}, ${steps} steps: ${events} events, trace ${hash}`);
process.exitCode = violations.length === 0 ? 0 : 1;
