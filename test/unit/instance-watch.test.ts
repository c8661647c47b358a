import { describe, expect, it } from "vitest";
import type { Activity } from "../../src/instance/activity.ts";
import { Life } from "../../src/instance/life.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import type { ContainerEnd } from "../../src/instance/types.ts";
import { Watch } from "../../src/instance/watch.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import { type ContainerRuntime, type Exit, RuntimeError } from "../../src/runtime/port.ts";

const workload = workloadSchema.parse({ id: "sandbox", image: "sandbox" });
const activity = { at: 0, note: () => {} } as unknown as Activity;
const boot = { bootId: "b-1", bootKey: "k", plan: { containerId: "c-1", workload } } as unknown as BootRecord;

/** A container that is watched, as far as its monitor says, and what answers in it. */
function watched(
  monitor: () => Promise<Exit>,
  { running, ...more }: { running: boolean; fetch?: () => Promise<Response> },
) {
  const container = { running: true, monitor, ...more };
  const life = new Life(container as unknown as ContainerRuntime, boot, activity);
  const ends: ContainerEnd[] = [];
  const watch = new Watch(life, (end) => ends.push(end));
  watch.begin();
  container.running = running;
  return { watch, ends, life };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("a monitor", () => {
  it.each([
    ["that cannot start it", new RuntimeError("capacity", "There is no room."), "start_dead"],
    ["that it was lost", new RuntimeError("lost", "The connection broke."), "lost"],
    ["of an unknown kind", new Error("what?"), "lost"],
  ] as const)("says of a container that is gone, by an error %s, how it ended", async (_, error, cause) => {
    const { ends } = watched(() => Promise.reject(error), { running: false });
    await settled();
    expect(ends.map((end) => end.cause)).toEqual([cause]);
  });

  it("that breaks off says nothing of a container that runs", async () => {
    const failed = watched(() => Promise.reject(new RuntimeError("lost", "reset")), { running: true });
    const silent = watched(async () => ({ exitCode: null, reason: "reset" }), { running: true });
    await settled();
    expect([failed.ends, silent.ends]).toEqual([[], []]);
  });

  it("says nothing of one that was told to go", async () => {
    const { watch, ends } = watched(async () => ({ exitCode: 0, reason: "exited" }), { running: false });
    watch.stop();
    await settled();
    expect(ends).toEqual([]);
  });
});

describe("init's word", () => {
  const gaveUp = { exitCode: 137, restarts: 4, restarting: false, oom: true };
  const saying = (workload: string) => {
    const status = { bootId: boot.bootId, workload, restarts: 4, lastExitCode: 137 };
    const monitor = () => new Promise<Exit>(() => {});
    return watched(monitor, { running: true, fetch: async () => Response.json(status) });
  };

  it("that it starts the workload again is no end, also where memory ran out", async () => {
    const { watch, ends } = saying("running");
    await watch.workloadExited({ ...gaveUp, restarting: true });
    expect([ends, typeof watch.known.lastOomAt]).toEqual([[], "number"]);
  });

  it("that it gave up is the end of the container, unless the workload was started again since", async () => {
    const { watch, ends } = saying("failed");
    await watch.workloadExited(gaveUp);
    expect(ends.map(({ cause, exitCode }) => [cause, exitCode])).toEqual([["oom", 137]]);
    const old = saying("running");
    await old.watch.workloadExited(gaveUp);
    expect(old.ends).toEqual([]);
  });
});
