import type { StartSpec } from "../runtime/port.ts";
import { bootEnvironment } from "../tenant/environment.ts";
import type { BootRecord } from "./record.ts";

/** The dead-man switch of a container whose object left memory, renewed by every observe (design §2). */
export const KEEP_MS = 15 * 60_000;

/**
 * How a container is started (docs/container.md, "Boot environment"). Its keys are not here: an engine gives this
 * environment to everything that is executed in the container, so they go to the control port. Pure.
 */
export function startSpec(boot: BootRecord): StartSpec {
  const { workload, containerId, poolId, tier } = boot.plan;
  const state = workload.volumes.state?.containerPath ?? "";
  return {
    image: workload.image,
    tier,
    env: {
      ...bootEnvironment(workload, containerId, poolId),
      BOILERHOUSE_START: workload.start,
      BOILERHOUSE_USER: workload.user ?? "workload",
      BOILERHOUSE_STATE_DIR: state,
      BOILERHOUSE_SECRETS_DIR: workload.volumes.secrets?.containerPath ?? "/run/secrets",
      BOILERHOUSE_AGENT: state === "" ? "off" : "on",
    },
    labels: { container: containerId, pool: poolId },
    internet: workload.network === "open",
    ...(workload.command ? { command: workload.command } : {}),
  };
}
