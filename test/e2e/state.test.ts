import { createHash, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";
import { checksums, listing, ODD_NAMES, TREE } from "../support/e2e-tree.ts";

onContainers("saved state", () => {
  const shared = useSharedStack();

  it("comes back with modes, owners, mod-times, symlinks and empty directories, by tar and by rclone", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("faithful", { poolId: "work" })).containerId);
    await first.output("workload", TREE + ODD_NAMES);
    await first.output("root", "echo root > /data/roots-own; chmod 600 /data/roots-own; chmod 700 /data");
    const before = await listing(first);
    expect(before).toContain("deep/er/one.txt\tf\t644\t10001\t10001\t4\t981173106.1234567890");
    expect(before).toContain("link\tl\t777");
    expect(before).toContain("roots-own\tf\t600\t0\t0");
    await client.released("faithful");

    const second = await containerOf(client, (await client.claimed("faithful")).containerId);
    expect(await listing(second)).toBe(before);

    // The next save sends only what changed, with rclone: contents, a mode alone, a new symlink, a removal.
    await second.output(
      "workload",
      `cd /data; echo changed > deep/f1; chmod 640 deep/f2; echo new > 'deep/new file'; ln -s ../run.sh deep/link; rm deep/f3
       touch -d '2003-03-03 03:03:03.303030303Z' 'deep/new file'`,
    );
    const changed = await listing(second);
    await client.released("faithful");
    const third = await containerOf(client, (await client.claimed("faithful")).containerId);
    expect(await listing(third)).toBe(changed);
    await client.discard("faithful");
  });

  it("is not sent again when nothing changed, and a save after five changed files says five", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("changing", { poolId: "work" })).containerId);
    await first.output("workload", "cd /data; for i in $(seq 100); do head -c 10000 /dev/urandom > f$i; done");
    expect(await client.released("changing")).toMatchObject({ files: 100, bytes: 1_000_000, changed: 100 });

    await client.claimed("changing");
    const unchanged = await client.released("changing");
    expect(unchanged).toMatchObject({ files: 100, bytes: 1_000_000, changed: 0 });

    const third = await containerOf(client, (await client.claimed("changing")).containerId);
    await third.output("workload", "cd /data; for i in 1 2 3; do echo new > f$i; done; rm f4; echo five > f101");
    const sums = await checksums(third);
    const saved = await client.released("changing");
    expect(saved).toMatchObject({ files: 100, changed: 5 });

    const fourth = await client.claimed("changing");
    expect(fourth.restored).toMatchObject({ generation: saved.generation, files: 100, bytes: saved.bytes });
    expect(await checksums(await containerOf(client, fourth.containerId))).toBe(sums);
    await client.discard("changing");
  });

  it("holds files larger than fit into memory pages: 30 MB there and back, new and changed", async () => {
    const { client } = shared;
    await client.claimed("large", { poolId: "work" });
    const big = randomBytes(30_000_000);
    const edge = randomBytes(65_537);
    await client.put("large", "big.bin", big);
    await client.put("large", "edge.bin", edge);
    expect(await client.released("large")).toMatchObject({ files: 2, bytes: 30_065_537 });

    await client.claimed("large");
    expect(sha256((await client.get("large", "big.bin")).bytes)).toBe(sha256(big));
    expect(sha256((await client.get("large", "edge.bin")).bytes)).toBe(sha256(edge));
    const other = randomBytes(20_000_001);
    await client.put("large", "other.bin", other);
    expect(await client.released("large")).toMatchObject({ files: 3, changed: 1 });

    await client.claimed("large");
    expect(sha256((await client.get("large", "other.bin")).bytes)).toBe(sha256(other));
    expect(sha256((await client.get("large", "big.bin")).bytes)).toBe(sha256(big));
    await client.discard("large");
  });
});

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
