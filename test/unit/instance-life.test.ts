import { describe, expect, it } from "vitest";
import { epoch, type TenantId } from "../../src/ids.ts";
import type { Activity } from "../../src/instance/activity.ts";
import { Assigning } from "../../src/instance/assigning.ts";
import { Life } from "../../src/instance/life.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import type { Assigned, Assignment } from "../../src/instance/types.ts";
import type { ContainerRuntime } from "../../src/runtime/port.ts";

const alice = "alice" as TenantId;
const bob = "bob" as TenantId;
const activity = { at: 0, note: () => {} } as unknown as Activity;
const boot = { plan: { containerId: "c-1", poolId: "demo", workload: { volumes: {} } } } as unknown as BootRecord;
const assigned: Assigned = { restored: null, timings: {} };

/** The life of a container that serves alice's third epoch. */
function serving({ running = true } = {}): Life {
  const life = new Life({ running } as ContainerRuntime, boot, activity);
  life.state = "assigned";
  life.holder = { tenantId: alice, epoch: epoch(3), assigned };
  return life;
}
const codeOf = (answer: { failure: { code: string } } | null) => answer?.failure.code;

describe("a container asked for an epoch", () => {
  it("does nothing for an earlier one, and takes a later one for its tenant's newer word", () => {
    const life = serving();
    expect(codeOf(life.notCurrent(epoch(2)))).toBe("stale_epoch");
    expect(life.notCurrent(epoch(4))).toBeNull();
    expect(codeOf(life.notCurrent(epoch(3)))).toBe("stale_epoch");
  });

  it("says that it is gone rather than that it serves another, so that nobody waits for it", () => {
    const life = serving({ running: false });
    expect(codeOf(life.notCurrent(epoch(2)))).toBe("container_unavailable");
    expect(life.serving(epoch(3))).toMatchObject({ ok: false, failure: { code: "container_unavailable" } });
  });
});

describe("an assignment", () => {
  const parts = {} as ConstructorParameters<typeof Assigning>[2];
  const run = (life: Life, tenantId: TenantId, at: number) =>
    new Assigning({} as Env, life, parts).run({ tenantId, epoch: epoch(at) } as Assignment);

  it("of another tenant, or of an earlier epoch, is refused by a container that serves one (P-ONE)", async () => {
    const life = serving();
    expect(await run(life, bob, 9)).toMatchObject({ failure: { code: "stale_epoch" } });
    expect(await run(life, alice, 2)).toMatchObject({ failure: { code: "stale_epoch" } });
    expect(life.holder?.tenantId).toBe(alice);
  });

  it("of another tenant is refused by a container that its pool gave away before this object came to memory", async () => {
    const life = new Life({ running: true } as ContainerRuntime, boot, activity);
    life.state = "warm";
    life.leasedTo = { tenantId: alice, epoch: epoch(3) };
    expect(await run(life, bob, 9)).toMatchObject({ failure: { code: "stale_epoch" } });
    expect(life.state).toBe("warm");
  });

  it("asked for again answers what is recorded", async () => {
    expect(await run(serving(), alice, 3)).toEqual({ ok: true, value: assigned });
  });

  it("to a container that ended is refused with how it ended", async () => {
    const life = new Life({ running: true } as ContainerRuntime, boot, activity);
    life.state = "warm";
    life.end = { at: 1, cause: "oom", exitCode: 137, detail: "It ran out of memory." };
    expect(await run(life, bob, 1)).toMatchObject({
      failure: { code: "container_unavailable", detail: "It ran out of memory." },
    });
  });
});
