import { command, must } from "../../scripts/command.ts";
import type { Stack } from "../../scripts/stack/stack.ts";
import { note } from "../../scripts/steps.ts";
import type { Api } from "./tenants.ts";

/** A pool of a workload with state, and where that is in its containers. */
export interface Place {
  readonly poolId: string;
  readonly directory: string;
  readonly kind: "memory" | "disk";
}

const MOUNT = "/memory";

/**
 * Benches keep state in memory. On a disk the file system is measured instead: ext4 without a journal, as small virtual
 * machines have it, passes over every inode that was freed in the last minutes, so that a thousand new files take 60 ms
 * at first and a second after some containers were removed (tried).
 */
export const inMemory: Place = { poolId: "memory", directory: `${MOUNT}/state`, kind: "memory" };
export const onDisk: Place = { poolId: "disk", directory: "/data", kind: "disk" };

export async function open(api: Api, { poolId, directory }: Place, size: number): Promise<void> {
  await api.workload({ id: poolId, volumes: { state: { containerPath: directory } } });
  await api.pool(poolId, poolId, size);
}

/** Fills the pool to `warm` slots, each with its state where the place says. */
export async function fill(api: Api, stack: Stack, { poolId, directory, kind }: Place, warm: number): Promise<void> {
  await api.fill(poolId, warm);
  if (kind === "disk") return;
  const filters = ["--filter", `name=-${stack.worker}-`, "--format", "{{.ID}} {{.Names}}"];
  const listed = (await must("docker", ["ps", ...filters]))
    .split("\n")
    .filter((line) => line && !line.endsWith("-proxy"));
  const ids = listed.map((line) => line.split(" ")[0] ?? "");
  const pids = (await must("docker", ["inspect", "--format", "{{.State.Pid}}", ...ids])).split("\n").filter(Boolean);
  const outcomes = await Promise.all(pids.map((pid) => mountMemory(pid, directory)));
  if (outcomes.includes("failed")) note("no file system in memory could be mounted: the state of benches is on disk");
}

/** From outside, in the container's own view: inside nobody may mount. Containers of other pools have no such directory. */
async function mountMemory(pid: string, directory: string): Promise<"done" | "failed"> {
  const script = `[ -d ${directory} ] && ! mountpoint -q ${MOUNT} || exit 0; mount -n -t tmpfs bench ${MOUNT} && mkdir -m 0700 ${directory}`;
  const { code } = await command("nsenter", ["--target", pid, "--mount", "sh", "-c", script]);
  return code === 0 ? "done" : "failed";
}
