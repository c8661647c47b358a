import { afterEach, describe, test } from "vitest";
import { SimulatedRuntime } from "../../src/runtime/simulated/runtime.ts";
import { Simulation } from "../../src/runtime/simulated/simulation.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { runtimeContract } from "../support/runtime-contract.ts";

const simulation = new Simulation();
afterEach(() => simulation.reset());

describe("the simulated runtime", () => {
  for (const [promise, check] of Object.entries(runtimeContract)) {
    test(promise, async () => {
      const sink = new MemorySink();
      const handler: Fetcher = {
        fetch: (input, init) => sink.handle(new Request(input, init)),
        connect: () => {
          throw new Error("the sink speaks HTTP only");
        },
      };
      await check({ runtime: new SimulatedRuntime(crypto.randomUUID(), simulation), handler, sink });
    });
  }
});
