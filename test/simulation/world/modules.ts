import type { WorldModules } from "./types.ts";

/** Where the register's hooks find the number of a world in the URL of a module (register.ts). */
const FILES = {
  Tenant: "tenant/object.ts",
  Pool: "pool/object.ts",
  Instance: "instance/object.ts",
  Vault: "vault/object.ts",
  Fleet: "fleet/object.ts",
  Limiter: "limits/object.ts",
  StorageGateway: "gateway/storage/entrypoint.ts",
  ControlGateway: "gateway/control/entrypoint.ts",
  sweepDaily: "sweep/daily.ts",
  proxy: "proxy/proxy.ts",
  targetOf: "proxy/target.ts",
  settled: "proxy/domain.ts",
  configOf: "config.ts",
  simulation: "runtime/simulated/simulation.ts",
  SimulatedRuntime: "runtime/simulated/runtime.ts",
  RuntimeError: "runtime/port.ts",
  SimulatedContainer: "runtime/simulated/container.ts",
} as const;

const SRC = new URL("../../../src/", import.meta.url);

/** A graph of `src` for one world alone: what a module remembers, no other world sees. */
export async function loadModules(world: number): Promise<WorldModules> {
  const load = (file: string): Promise<Record<string, unknown>> => import(`${new URL(file, SRC)}?world=${world}`);
  const modules: Record<string, unknown> = { stubs: await load("durable/stubs.ts") };
  for (const [name, file] of Object.entries(FILES)) modules[name] = (await load(file))[name];
  return modules as unknown as WorldModules;
}
