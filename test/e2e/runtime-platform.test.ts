import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../../scripts/paths.ts";
import { STACKS } from "../support/e2e-paths.ts";
import { OwnStack, onContainers } from "../support/e2e-stack.ts";
import { runtimeContract } from "../support/runtime-contract.ts";
import type { Verdict } from "../support/runtime-harness/worker.ts";

/** The contract is kept by `ctx.container` too: every case runs in an object of a Worker of its own, with a real container. */
onContainers("the platform runtime", () => {
  const config = `${ROOT}/test/support/runtime-harness/wrangler.jsonc`;
  const harness = new OwnStack(`${STACKS}/runtime`, { config });
  beforeAll(() => harness.start(), 240_000);
  afterAll(() => harness.stop(), 60_000);

  for (const promise of Object.keys(runtimeContract)) {
    test(promise, async () => {
      const response = await fetch(`${harness.stack.url}/?promise=${encodeURIComponent(promise)}`, { method: "POST" });
      const { problem } = (await response.json()) as Verdict;
      expect(problem).toBeNull();
    });
  }
});
