import { countKinds } from "../census/kinds.ts";
import { playSeed } from "../play/seed.ts";
import type { Job, Verdict } from "./job.ts";

/** A process that plays the seeds it is sent, one after the other. It ends with the process that sends them. */
const now = performance.now.bind(performance);

process.send?.("ready");
process.on("disconnect", () => process.exit(0));
process.on("message", async ({ seed, steps, census }: Job) => {
  const began = now();
  const verdict = (rest: Omit<Verdict, "seed" | "ms">): Verdict => ({ seed, ms: Math.round(now() - began), ...rest });
  try {
    const lines: string[] = [];
    const { hash, events, violations } = await playSeed(
      seed,
      steps,
      census ? { trace: (line) => lines.push(line) } : {},
    );
    process.send?.(
      verdict({
        hash,
        events,
        violations: violations.map(({ rule, what }) => `${rule}: ${what}`),
        ...(census ? { census: countKinds(lines) } : {}),
      }),
    );
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.send?.(verdict({ hash: "", events: 0, violations: [], broken: what }));
  }
});
