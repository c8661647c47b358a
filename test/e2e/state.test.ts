import { createHash, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { type Container, containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

/** A tree with everything that a careless copy loses. Run as the workload's user, in the state directory. */
const TREE = `cd /data
umask 022
mkdir -p deep/er empty private
echo one > deep/er/one.txt
printf '#!/bin/sh\\necho hi\\n' > run.sh; chmod 750 run.sh
: > nothing; chmod 604 nothing
printf 'x' > 'a name with spaces, ünïcode & "quotes"'
printf 'y' > deep/-dash; printf 'z' > 'deep/100%25+plus#hash?'
ln -s deep/er/one.txt link
ln -s /nowhere/at-all dangling
ln -s deep linked-directory
chmod 2770 private
touch -d '2001-02-03 04:05:06.123456789Z' deep/er/one.txt
touch -d '1999-12-31 23:59:59.000000001Z' nothing
touch -h -d '2010-10-10 10:10:10.5Z' link
for i in $(seq 20); do echo "file $i" > deep/f$i; done
touch -d '2015-05-05 05:05:05.5Z' empty private deep/er`;

onContainers("saved state", () => {
  const shared = useSharedStack();

  it("comes back with modes, owners, mod-times, symlinks and empty directories, by tar and by rclone", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("faithful", { poolId: "work" })).containerId);
    await first.output("workload", TREE);
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

/** Everything that must survive, one line each: path, kind, mode, owner, size (of files), mod-time, target, content. */
async function listing(container: Container): Promise<string> {
  const format = String.raw`%P\t%y\t%m\t%U\t%G\t%s\t%T@\t%l\n`;
  const found = await container.output("root", `cd /data && find . -printf '${format}' | LC_ALL=C sort`);
  const lines = found
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [path = "", kind = "", mode, uid, gid, size, time, target] = line.split("\t");
      return [path, kind, mode, uid, gid, kind === "f" ? size : "", time, target].join("\t");
    });
  return `${lines.join("\n")}\n${await checksums(container)}`;
}

const checksums = (container: Container): Promise<string> =>
  container.output("root", "cd /data && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum");

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
