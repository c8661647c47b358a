import type { Workload } from "../registry/specs.ts";

/** `${NAME}` in a workload's environment. Known: these and `config.*` (contract: Workload). */
export interface Variables {
  tenantId: string;
  poolId: string;
  workloadId: string;
  containerId: string;
  publicUrl: string;
  config: unknown;
}

const VARIABLE = /\$\{([A-Za-z0-9_.-]+)\}/g;

/** The variables that can be given at boot: those that do not depend on the claim. Pure. */
export function bootEnvironment(workload: Workload, containerId: string, poolId: string): Record<string, string> {
  const known: Record<string, string> = { workloadId: workload.id, containerId, poolId };
  return interpolateAll(workload.environment, (name) => known[name]);
}

/** The variables that a claim adds: those that name the tenant or its configuration. Pure; an absent config value is empty. */
export function claimEnvironment(workload: Workload, variables: Variables): Record<string, string> {
  const { config, ...plain } = variables;
  const atBoot = bootEnvironment(workload, variables.containerId, variables.poolId);
  const all = interpolateAll(workload.environment, (name) =>
    name.startsWith("config.")
      ? textAt(config, name.slice("config.".length).split("."))
      : (plain as Record<string, string>)[name],
  );
  return Object.fromEntries(Object.entries(all).filter(([name]) => !(name in atBoot)));
}

/** Leaves out what uses a variable that `lookup` does not know. */
function interpolateAll(
  templates: Record<string, string>,
  lookup: (name: string) => string | undefined,
): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, template] of Object.entries(templates)) {
    let known = true;
    const value = template.replaceAll(VARIABLE, (_, variable: string) => {
      const found = lookup(variable);
      if (found === undefined) known = false;
      return found ?? "";
    });
    if (known) out[name] = value;
  }
  return out;
}

function textAt(value: unknown, path: string[]): string {
  let at = value;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return "";
    at = (at as Record<string, unknown>)[key];
  }
  if (at === undefined || at === null) return "";
  return typeof at === "object" ? JSON.stringify(at) : String(at);
}
