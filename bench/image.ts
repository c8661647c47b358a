import { must } from "../scripts/command.ts";
import { step } from "../scripts/steps.ts";
import type { Counts } from "./harness/counts.ts";
import { observed, promised, type Result } from "./harness/result.ts";
import { product } from "./harness/stacks.ts";
import { Api } from "./harness/tenants.ts";
import { type Memory, memoryOf } from "./image/memory.ts";

const POOL = "stateful";
/** Containers for one round: one for every save that is watched. */
const PER_ROUND = 4;

/** How large the base image is, and how much memory the parts of a container take that are ours. */
export async function image(counts: Counts): Promise<Result[]> {
  const api = new Api(await product());
  await api.workload({ id: POOL, volumes: { state: { containerPath: "/data" } } });
  await api.pool(POOL, POOL, PER_ROUND);
  const rounds = await step("memory while idle and while saving", async () => {
    const found: Memory[] = [];
    for (let round = 0; round < counts.memory; round += 1) {
      await api.fill(POOL, PER_ROUND);
      found.push(await memoryOf(api, POOL, `memory-${round}`));
    }
    return found;
  });
  api.client.close();

  const bytes = Number(await must("docker", ["image", "inspect", "--format", "{{.Size}}", "boilerhouse-base"]));
  const idle = rounds.map((round) => round.idle / 1e6);
  const saves = rounds.flatMap((round) => round.saves);
  const peaks = saves.map(({ peak }) => peak / 2 ** 20);
  const kinds = [...new Set(saves.map(({ kind }) => kind))];
  return [
    promised("image.size", [bytes / 1e6]),
    promised("image.idle", idle, { note: rounds.at(-1)?.parts ?? "" }),
    promised("image.peak", peaks, { value: Math.max(...peaks) }),
    ...kinds.map((kind) => {
      const of = saves.filter((save) => save.kind === kind);
      const note = of.at(-1)?.parts ?? "";
      return observed(
        "image",
        `peak, ${kind}`,
        "MiB",
        of.map(({ peak }) => peak / 2 ** 20),
        { note },
      );
    }),
  ];
}
