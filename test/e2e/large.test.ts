import { expect, it } from "vitest";
import { type ClaimBody, eventually } from "../support/e2e-client.ts";
import { type Container, containerOf } from "../support/e2e-docker.ts";
import type { Answer } from "../support/e2e-http.ts";
import { onContainers, useOwnStack } from "../support/e2e-stack.ts";

const GIB = 2 ** 30;
/** Gigabytes pass through one thread of workerd here, and through everybody's disk. */
const PATIENCE_MS = 290_000;

/**
 * A file with holes: cheap to make, and a different content for every `seed`. What is between the marks is zeros, which the
 * way to storage neither knows nor saves.
 */
const sparse = (path: string, bytes: number, seed: string) =>
  `truncate -s ${bytes} '${path}'
   for at in 0 ${Math.floor(bytes / 3)} ${bytes - 64}; do
     printf '%s at %s\\n' '${seed}' $at | dd of='${path}' bs=1 seek=$at conv=notrunc status=none
   done`;

onContainers("a large state", () => {
  const own = useOwnStack("large", { vars: { SAVE_TIMEOUT_MS: "280000" } });

  const inside = (claim: ClaimBody): Promise<Container> => containerOf(own.client, claim.containerId);

  /** Path and hash of every file. */
  const hashes = (container: Container): Promise<string> =>
    container.output("root", "cd /data && find . -type f -print0 | sort -z | xargs -0 sha256sum");

  /** As the client's own, but for what takes minutes. */
  function patiently(tenant: string, action: "claim" | "release" | "destroy", body: object): Promise<Answer> {
    return own.client.send("POST", `/api/v1/tenants/${tenant}/${action}?wait=${PATIENCE_MS}ms`, {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      timeoutMs: PATIENCE_MS + 5_000,
    });
  }

  async function claimed(tenant: string): Promise<ClaimBody> {
    const answer = await patiently(tenant, "claim", { poolId: "work" });
    expect(answer.status, answer.text).toBe(201);
    return answer.body;
  }

  async function released(tenant: string): Promise<{ files: number; bytes: number; changed: number }> {
    const answer = await patiently(tenant, "release", {});
    expect([answer.status, answer.body.state], answer.text).toEqual([200, "idle"]);
    console.log(`${tenant}: ${JSON.stringify(answer.body.saved)} ${JSON.stringify(answer.body.timings)}`);
    return answer.body.saved;
  }

  /** Gigabytes are not left lying around until the suite is over. */
  async function erased(tenant: string): Promise<void> {
    const answer = await patiently(tenant, "destroy", { deleteData: true });
    expect([200, 202], answer.text).toContain(answer.status);
    // A container with so much in it may be gone later than a retirement is waited for; then it is looked at a minute later.
    await eventually(async () => expect((await own.client.status(tenant)).body.state).toBe("destroyed"), 150_000, 500);
  }

  it("with an object of 2 GiB, and thirty-two of 30 MB added later, comes back hash by hash", async () => {
    const tenant = "large-objects";
    let container = await inside(await claimed(tenant));
    await container.output("workload", `cd /data && ${sparse("huge", 2 * GIB, "huge")}`);
    // So many that the thirty-two are not most of the files, which would go as one tar again.
    await container.output("workload", "cd /data && seq 64 | split -l 1 -a 3 -d - small-");
    const first = await hashes(container);
    expect(await released(tenant)).toMatchObject({ files: 65, changed: 65 });

    const again = await claimed(tenant);
    expect(again.restored).toMatchObject({ files: 65 });
    container = await inside(again);
    expect(await hashes(container)).toBe(first);
    const more = Array.from({ length: 32 }, (_, n) => sparse(`more-${n}`, 30_000_000, `more ${n}`));
    await container.output("workload", `cd /data\n${more.join("\n")}\n${sparse("big", 300_000_000, "big")}`);
    const second = await hashes(container);
    expect(second.split("\n")).toHaveLength(65 + 33 + 1);
    expect(await released(tenant)).toMatchObject({ files: 98, changed: 33 });

    const last = await claimed(tenant);
    expect(last.restored).toMatchObject({ files: 98 });
    expect(await hashes(await inside(last))).toBe(second);
    await erased(tenant);
  }, 900_000);

  it("of 50,000 files is saved and restored, and a change of three of them is just that", async () => {
    const tenant = "large-tree";
    let container = await inside(await claimed(tenant));
    await container.output(
      "workload",
      'cd /data && for d in $(seq 50); do mkdir "$d" && seq "$d" 50 50000 | split -l 1 -a 4 -d - "$d/file-" || exit 1; done',
    );
    const before = await hashes(container);
    expect(before.split("\n")).toHaveLength(50_001);
    expect(await released(tenant)).toMatchObject({ files: 50_000, changed: 50_000 });

    const again = await claimed(tenant);
    expect(again.restored).toMatchObject({ files: 50_000 });
    container = await inside(again);
    expect(await hashes(container)).toBe(before);
    await container.output("workload", "cd /data && echo changed > 7/file-0123 && rm 8/file-0001 && echo new > new");
    const after = await hashes(container);
    expect(await released(tenant)).toMatchObject({ files: 50_000, changed: 3 });

    const last = await claimed(tenant);
    expect(await hashes(await inside(last))).toBe(after);
    await erased(tenant);
  }, 600_000);
});
