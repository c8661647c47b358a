import { command } from "../command.ts";

const SWEEP_EVERY_MS = 15_000;

/**
 * Removes networking sidecars whose container is gone: workerd starts one beside every container and leaves it there when
 * the container is destroyed, so that each claim would cost one for ever. Returns how to stop.
 */
export function sweepSidecars(worker: string): () => void {
  let suspects = new Set<string>();
  let busy = false;
  const sweep = async () => {
    if (busy) return;
    busy = true;
    const alone = await withoutContainer(worker);
    // A sidecar is there before its container: only what is alone twice in a row is left over.
    const left = alone.filter((name) => suspects.has(name));
    suspects = new Set(alone);
    if (left.length > 0) await command("docker", ["rm", "-f", "-v", ...left], { timeoutMs: 60_000 });
    busy = false;
  };
  const timer = setInterval(() => void sweep(), SWEEP_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

async function withoutContainer(worker: string): Promise<string[]> {
  const argv = ["ps", "-a", "--filter", `name=-${worker}-`, "--format", "{{.Names}}"];
  const names = (await command("docker", argv, { timeoutMs: 20_000 })).stdout.split("\n").filter(Boolean);
  const all = new Set(names);
  return names.filter((name) => name.endsWith("-proxy") && !all.has(name.slice(0, -"-proxy".length)));
}
