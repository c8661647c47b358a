import { must } from "../../scripts/command.ts";
import { ROOT } from "../../scripts/paths.ts";
import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { promised, type Result } from "../harness/result.ts";
import { median } from "../harness/statistics.ts";
import type { Hour } from "./idle.ts";

interface Found {
  readonly idle: readonly Hour[];
  readonly pool: { readonly none: number[]; readonly some: number[]; readonly all: number[] };
}

/** What objects cost that nothing happens to, and pools that are large: the real objects in Node, where CPU can be measured. */
export async function quietObjects({ hours, pools }: Counts): Promise<Result[]> {
  return step("idle tenants and large pools, in Node", async () => {
    const arguments_ = [hours, pools.quiet, pools.changed].map(String);
    const program = ["--import", `${ROOT}/test/simulation/register.ts`, `${ROOT}/bench/reconcile/in-node.ts`];
    const printed = await must(process.execPath, [...program, ...arguments_], { cwd: ROOT, timeoutMs: 600_000 });
    const { idle, pool } = JSON.parse(printed.trim().split("\n").at(-1) ?? "") as Found;
    const wakes = idle.map((hour) => hour.wakes);
    const writes = idle.map((hour) => hour.writes);
    const none = median(pool.none);
    const each = (samples: readonly number[], slots: number) => samples.map((ms) => Math.max(0, ms - none) / slots);
    const [some, all] = [median(each(pool.some, 100)), median(each(pool.all, 1_000))];
    return [
      promised("idle.wakes", wakes, { value: Math.max(...wakes) }),
      promised("idle.writes", writes, { value: Math.max(...writes) }),
      promised("pool.cpu", pool.none),
      promised("pool.share", each(pool.all, 1_000), {
        value: all / some,
        note: `${median(pool.some).toFixed(0)} ms with 100 changed, ${median(pool.all).toFixed(0)} ms with 1,000`,
      }),
    ];
  });
}
