import { command } from "../command.ts";

const SWEEP_EVERY_MS = 15_000;

/**
 * Removes what workerd leaves with the engine: the networking sidecar of a container that is gone, which each claim would
 * leave for ever, and a container that ended by itself, with its sidecar; no object starts the same one again. Returns how
 * to stop.
 */
export function sweepRemains(worker: string): () => void {
  let suspects = new Set<string>();
  let busy = false;
  const sweep = async () => {
    if (busy) return;
    busy = true;
    const found = remainsOf(await containersOf(worker));
    // A sidecar is there before its container, and the engine may start a failed one again: only what is so twice in a row is left over.
    const left = found.filter((name) => suspects.has(name));
    suspects = new Set(found);
    if (left.length > 0) await command("docker", ["rm", "-f", "-v", ...left], { timeoutMs: 60_000 });
    busy = false;
  };
  const timer = setInterval(() => void sweep(), SWEEP_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

interface Listed {
  readonly name: string;
  /** As the engine says it: created, running, paused, restarting, exited, dead. */
  readonly state: string;
}

/** What has ended, and sidecars of what has ended or is gone. Pure. */
export function remainsOf(containers: readonly Listed[]): string[] {
  const there = new Set(
    containers.filter(({ state }) => state !== "exited" && state !== "dead").map(({ name }) => name),
  );
  const isLeft = ({ name }: Listed) =>
    name.endsWith(SIDECAR) ? !there.has(name.slice(0, -SIDECAR.length)) : !there.has(name);
  return containers.filter(isLeft).map(({ name }) => name);
}

const SIDECAR = "-proxy";

async function containersOf(worker: string): Promise<Listed[]> {
  const argv = ["ps", "-a", "--filter", `name=-${worker}-`, "--format", "{{.Names}} {{.State}}"];
  const lines = (await command("docker", argv, { timeoutMs: 20_000 })).stdout.split("\n").filter(Boolean);
  return lines.map((line) => {
    const [name = "", state = ""] = line.split(" ");
    return { name, state };
  });
}
