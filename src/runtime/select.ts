import { PlatformRuntime } from "./platform.ts";
import type { ContainerRuntime } from "./port.ts";
import { SimulatedRuntime } from "./simulated/runtime.ts";

/**
 * The runtime of an object that carries a container, as the variable `RUNTIME` says (src/config.ts). To be made when the
 * object is constructed: a simulated container that outlived an eviction is taken over by it.
 * @throws Error when the class has no `containers` entry, or containers are switched off
 */
export function runtimeFor(ctx: Pick<DurableObjectState, "id" | "container">, env: object): ContainerRuntime {
  if ("RUNTIME" in env && env.RUNTIME === "simulated") return new SimulatedRuntime(ctx.id.name ?? ctx.id.toString());
  if (!ctx.container) throw new Error("This object's class carries no container: see `containers` in wrangler.jsonc.");
  return new PlatformRuntime(ctx.container);
}
