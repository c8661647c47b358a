import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../../scripts/paths.ts";
import { eventually } from "../support/e2e-client.ts";
import { type Container, containerOf } from "../support/e2e-docker.ts";
import { STACKS } from "../support/e2e-paths.ts";
import { OwnStack, onContainers, useSharedStack } from "../support/e2e-stack.ts";
import { ML_MAPPINGS } from "../support/ml-example.ts";
import { Bucket } from "../support/s3-bucket.ts";
import { S3_BUCKET, S3_KEY, type S3Server, startS3 } from "../support/s3-server.ts";

const TENANT = `\${tenantId}`;

interface Sink {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
}

onContainers("sync specs with an S3 sink", () => {
  const shared = useSharedStack();
  const local = new OwnStack(`${STACKS}/s3-local`, { config: `${ROOT}/test/support/s3-local/wrangler.jsonc` });
  let s3rver: S3Server;
  beforeAll(async () => {
    s3rver = await startS3();
    await local.start();
  }, 240_000);
  afterAll(async () => {
    await shared.client.discard("wrangler-ann", "s3rver-ann");
    await s3rver.stop();
    await local.stop();
  }, 60_000);

  const sinks: Record<string, () => Sink> = {
    "the local S3 endpoint of wrangler dev": () => ({
      endpoint: `${local.stack.url}/cdn-cgi/local/r2/s3`,
      bucket: "sink",
      region: "auto",
      accessKeyId: "e2e-local-key",
      secretAccessKey: "e2e-local-secret",
    }),
    s3rver: () => ({
      endpoint: s3rver.endpoint,
      bucket: S3_BUCKET,
      region: "us-east-1",
      accessKeyId: S3_KEY,
      secretAccessKey: S3_KEY,
    }),
  };
  const bucketOf = ({ endpoint, bucket, region, accessKeyId, secretAccessKey }: Sink) =>
    new Bucket(endpoint, bucket, accessKeyId, secretAccessKey, region);

  const container = async (tenant: string): Promise<Container> =>
    containerOf(shared.client, (await shared.client.status(tenant)).body.containerId);
  const register = async (spec: { id: string }) => {
    const answer = await shared.client.api("POST", "/sync-specs", spec);
    expect(answer.status, answer.text).toBe(201);
  };
  const trigger = (id: string, tenantId: string) =>
    shared.client.api("POST", `/sync-specs/${id}/trigger?wait=60s`, { tenantId });
  const status = async (id: string, tenantId: string) =>
    (await shared.client.api("GET", `/sync-specs/${id}/status?tenantId=${tenantId}`)).body;

  describe.each(Object.keys(sinks))("%s", (name) => {
    const at = name === "s3rver" ? "s3rver" : "wrangler";
    const sink = () => (sinks[name] as () => Sink)();
    const pool = `ml-${at}`;
    /** As it stands in the source document, but for the sink's address and keys, the pool and the interval. */
    const mlTraining = () => ({
      id: `ml-training-${at}`,
      poolId: pool,
      mappings: ML_MAPPINGS,
      sink: { type: "s3", prefix: `workloads/ml/${TENANT}/`, ...sink() },
      policy: { onClaim: true, onRelease: true, intervalMs: 30_000, allowManualTrigger: true },
    });
    const under = `workloads/ml/${at}-ann/`;
    const ann = `${at}-ann`;

    beforeAll(async () => {
      await shared.client.pool({ id: pool, minSize: 1 });
      await register(mlTraining());
      await bucketOf(sink()).put(`${under}config/train.json`, '{"lr":0.1}');
    }, 120_000);

    it("brings config and checkpoints with the claim, and takes checkpoints and logs with the release", async () => {
      const { client } = shared;
      await client.claimed(ann, { poolId: pool });
      const first = await container(ann);
      expect(await first.output("workload", "cat /config/train.json")).toBe('{"lr":0.1}');
      expect((await first.output("root", "stat -c %U /config")).trim()).toBe("workload");
      await first.output(
        "workload",
        "mkdir -p /data/checkpoints /data/logs/run; cd /data; echo one > checkpoints/1.pt; echo x > checkpoints/tmp.bin; echo line > logs/run/a.log",
      );
      await client.released(ann);
      expect(await bucketOf(sink()).keys(under)).toEqual([
        `${under}checkpoints/1.pt`,
        `${under}config/train.json`,
        `${under}logs/run/a.log`,
      ]);
      expect(await bucketOf(sink()).get(`${under}checkpoints/1.pt`)).toBe("one\n");
      await bucketOf(sink()).put(`${under}checkpoints/2.pt`, "two\n");
      await client.claimed(ann, { poolId: pool });
      const second = await container(ann);
      expect(await second.output("workload", "cat /data/checkpoints/1.pt /data/checkpoints/2.pt")).toBe("one\ntwo\n");
    });

    it("goes on by its interval", async () => {
      const inside = await container(ann);
      await inside.output("workload", "echo three > /data/checkpoints/3.pt");
      await eventually(
        async () => expect(await bucketOf(sink()).keys(`${under}checkpoints/`)).toContain(`${under}checkpoints/3.pt`),
        60_000,
        500,
      );
      await eventually(async () => expect((await status(`ml-training-${at}`, ann)).state).toBe("idle"));
    });

    it("keeps what a sync replaces or deletes, and never lets it delete more than half", async () => {
      const inside = await container(ann);
      const id = `ml-training-${at}`;
      const mirror = {
        id: `mirror-${at}`,
        poolId: pool,
        mappings: [{ containerPath: "/data/mirror", sinkPath: "mirror/", direction: "upload", mode: "sync" }],
        sink: { type: "s3", prefix: `m/${TENANT}/`, ...sink() },
        policy: { allowManualTrigger: true },
      };
      await register(mirror);
      await inside.output("workload", "mkdir /data/mirror; cd /data/mirror; for n in a b c d; do echo $n > $n; done");
      expect((await trigger(mirror.id, ann)).body).toMatchObject({ items: [{ result: { synced: [{ files: 4 }] } }] });
      await inside.output("workload", "cd /data/mirror; echo changed > a; rm b");
      expect((await trigger(mirror.id, ann)).body).toMatchObject({
        items: [{ result: { synced: [{ files: 1, deleted: 1 }] } }],
      });
      const keys = (await bucketOf(sink()).keys(`m/${ann}/`)).map((key) => key.replace(/\d{8}T\d{9}Z/, "TIME"));
      expect(keys).toEqual([
        `m/${ann}/.versions/TIME/mirror/a`,
        `m/${ann}/.versions/TIME/mirror/b`,
        `m/${ann}/mirror/a`,
        `m/${ann}/mirror/c`,
        `m/${ann}/mirror/d`,
      ]);
      await inside.output("workload", "rm -r /data/mirror/*");
      expect((await trigger(mirror.id, ann)).body).toMatchObject({ code: "guard_blocked", problem: "guard_blocked" });
      expect(await bucketOf(sink()).keys(`m/${ann}/mirror/`)).toHaveLength(3);
      expect(await status(id, ann)).toMatchObject({ state: "idle", errors: [] });
    });

    it("says permission_denied of a wrong secret and storage_missing of a missing bucket, of a probe as of a sync", async () => {
      for (const [problem, wrong] of [
        ["permission_denied", { secretAccessKey: "not-the-secret" }],
        ["storage_missing", { bucket: "no-such-bucket" }],
      ] as const) {
        const id = `${problem.slice(0, 4)}-${at}`;
        await register({
          id,
          poolId: pool,
          mappings: [{ containerPath: "/data/checkpoints", sinkPath: "", direction: "upload", mode: "copy" }],
          sink: { type: "s3", prefix: `p/${TENANT}/`, ...sink(), ...wrong },
          policy: { allowManualTrigger: true },
        } as { id: string });
        expect((await shared.client.api("POST", `/sync-specs/${id}/probe`)).body).toMatchObject({
          healthy: false,
          problem,
        });
        expect((await trigger(id, ann)).body, id).toMatchObject({ problem });
        expect(await status(id, ann)).toMatchObject({
          state: "error",
          errors: [{ problem }],
          sink: { healthy: false },
        });
      }
      const probe = await shared.client.api("POST", `/sync-specs/ml-training-${at}/probe`);
      expect(probe.body, probe.text).toMatchObject({ healthy: true, problem: null });
    });
  });

  it("leaves no key of a sink in the container, in any file or process", async () => {
    const inside = await container("wrangler-ann");
    const { secretAccessKey } = (sinks["the local S3 endpoint of wrangler dev"] as () => Sink)();
    const found = await inside.run(
      "root",
      `cat > /tmp/needle; { grep -rlaF -f /tmp/needle --exclude=needle / --exclude-dir=proc --exclude-dir=sys; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -caF -f /tmp/needle | grep -v '^0$'; } 2> /dev/null; rm /tmp/needle`,
      `${secretAccessKey}\n`,
    );
    expect(found.stdout).toBe("");
  });

  it("a large file goes up in parts, and comes back whole", async () => {
    const { client } = shared;
    const sink = sinks.s3rver as () => Sink; // wrangler's refuses every rclone's completion of an upload in parts
    await client.pool({ id: "ml-large", minSize: 1 });
    await register({
      id: "ml-large",
      poolId: "ml-large",
      mappings: [{ containerPath: "/data/big", sinkPath: "big/", direction: "bidirectional", mode: "copy" }],
      sink: { type: "s3", prefix: `large/${TENANT}/`, ...sink() },
      policy: { onClaim: true, onRelease: true },
    } as { id: string });
    await client.claimed("large-lou", { poolId: "ml-large" });
    const first = await container("large-lou");
    const script =
      "mkdir /data/big; head -c 100000000 /dev/urandom > /data/big/model.bin; sha256sum < /data/big/model.bin";
    const sum = await first.output("workload", script);
    await client.released("large-lou");
    await client.claimed("large-lou", { poolId: "ml-large" });
    const second = await container("large-lou");
    expect(await second.output("workload", "sha256sum < /data/big/model.bin")).toBe(sum);
    await client.discard("large-lou");
  });

  it("a spec in the vault keeps a history of its own, and its files come back", async () => {
    const { client } = shared;
    await client.pool({ id: "ml-vault", minSize: 1 });
    await register({
      id: "ml-vault",
      poolId: "ml-vault",
      mappings: [
        { containerPath: "/srv/out", pattern: "*.log", sinkPath: "out/", direction: "bidirectional", mode: "sync" },
        { containerPath: "/srv/keep", sinkPath: "keep/", direction: "bidirectional", mode: "copy" },
      ],
      sink: { type: "r2" },
      policy: { onClaim: true, onRelease: true, allowManualTrigger: true },
    } as { id: string });
    await client.claimed("vault-vin", { poolId: "ml-vault" });
    const first = await container("vault-vin");
    const script =
      "cd /srv/out; mkdir d; for n in 1 2 3 4; do echo $n > d/$n.log; done; echo x > x.txt; chmod 640 d/1.log; echo k > /srv/keep/k";
    await first.output("workload", script);
    expect((await trigger("ml-vault", "vault-vin")).body).toMatchObject({
      items: [{ result: { synced: [{ specId: "ml-vault", files: 5 }] } }],
    });
    await first.output("workload", "rm /srv/out/d/4.log /srv/keep/k; head -c 200000 /dev/urandom > /srv/out/large.log");
    const sum = await first.output("workload", "sha256sum < /srv/out/large.log");
    await client.released("vault-vin");
    await client.claimed("vault-vin", { poolId: "ml-vault" });
    const second = await container("vault-vin");
    const found = await second.output(
      "workload",
      "cd /srv; find ./out ./keep -type f | sort; cat out/d/1.log; stat -c '%a %U' out/d/1.log",
    );
    expect(found).toBe("./keep/k\n./out/d/1.log\n./out/d/2.log\n./out/d/3.log\n./out/large.log\n1\n640 workload\n");
    expect(await second.output("workload", "sha256sum < /srv/out/large.log")).toBe(sum);
    await client.discard("vault-vin");
  });

  it("a sync that is cancelled ends, and the workload goes on", async () => {
    const { client } = shared;
    const sink = sinks.s3rver as () => Sink;
    await client.pool({ id: "ml-cancel", minSize: 1 });
    await register({
      id: "ml-cancel",
      poolId: "ml-cancel",
      mappings: [{ containerPath: "/data/slow", sinkPath: "slow/", direction: "upload", mode: "copy" }],
      sink: { type: "s3", prefix: `slow/${TENANT}/`, rcloneFlags: ["--bwlimit=200K", "--transfers=1"], ...sink() },
      policy: { allowManualTrigger: true },
    } as { id: string });
    await client.claimed("cancel-cid", { poolId: "ml-cancel" });
    await (await container("cancel-cid")).output(
      "workload",
      "mkdir /data/slow; head -c 20000000 /dev/urandom > /data/slow/x",
    );
    const started = await client.api("POST", "/sync-specs/ml-cancel/trigger", { tenantId: "cancel-cid" });
    expect(started.status, started.text).toBe(202);
    await eventually(async () => expect(await status("ml-cancel", "cancel-cid")).toMatchObject({ state: "syncing" }));
    await eventually(
      async () => expect((await status("ml-cancel", "cancel-cid")).progress?.bytes).toBeGreaterThan(0),
      20_000,
    );
    expect((await client.api("DELETE", "/sync-specs/ml-cancel")).status).toBe(409);
    const cancelled = await client.api("POST", "/sync-specs/ml-cancel/cancel", { tenantId: "cancel-cid" });
    expect(cancelled, cancelled.text).toMatchObject({ status: 200, body: { cancelled: ["cancel-cid"] } });
    await eventually(async () => expect(await status("ml-cancel", "cancel-cid")).toMatchObject({ state: "idle" }));
    expect((await client.api("GET", "/sync-specs/ml-cancel/history")).body.items).toMatchObject([
      { result: "cancelled" },
    ]);
    expect((await client.status("cancel-cid")).body.state).toBe("active");
    await client.discard("cancel-cid");
  });
});
