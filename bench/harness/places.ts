import { command, must } from "../../scripts/command.ts";
import type { Stack } from "../../scripts/stack/stack.ts";
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
  const containers = (await must("docker", ["ps", ...filters]))
    .split("\n")
    .filter((line) => line && !line.endsWith("-proxy"));
  const mount = `mountpoint -q ${MOUNT} || { mount -t tmpfs bench ${MOUNT} && mkdir -m 0700 ${directory}; }`;
  for (const line of containers) {
    // One of another pool has no such directory.
    await command("docker", ["exec", "--privileged", "-u", "root", line.split(" ")[0] ?? "", "sh", "-c", mount]);
  }
}
