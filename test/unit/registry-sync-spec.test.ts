import { describe, expect, test } from "vitest";
import type { TenantId } from "../../src/ids.ts";
import { directionOf, syncSpecSchema, withoutSecret } from "../../src/sync/spec.ts";
import { ofState, statusOf, type TenantSync } from "../../src/sync/status.ts";
import type { Size } from "../../src/vault/types.ts";

const TENANT = `\${tenantId}`;
const aMapping = (more: object = {}) => ({
  containerPath: "/data/sessions",
  sinkPath: "sessions/",
  direction: "upload",
  mode: "copy",
  ...more,
});
const anS3Sink = (more: object = {}) => ({
  type: "s3",
  bucket: "my-data",
  region: "us-west-2",
  prefix: `tenants/${TENANT}/`,
  ...more,
});
const aSpec = (more: object = {}) => ({ id: "s", poolId: "p", mappings: [aMapping()], sink: { type: "r2" }, ...more });
const wrong = (spec: object) => {
  const issues = syncSpecSchema.safeParse(spec).error?.issues ?? [];
  return [...new Map(issues.map((issue) => [issue.path.join("/"), issue.code] as const))];
};
const pointers = (spec: object) => wrong(spec).map(([path]) => path);

describe("a sync spec", () => {
  test("of S3's own example is accepted as it stands", () => {
    const mappings = [
      aMapping({ containerPath: "/data/checkpoints", pattern: "*.pt", direction: "bidirectional", mode: "sync" }),
      aMapping({ containerPath: "/data/logs", pattern: "**/*.log", sinkPath: "logs/" }),
      aMapping({ containerPath: "/config", sinkPath: "config/", direction: "download", mode: "sync" }),
    ];
    const policy = { onClaim: true, onRelease: true, intervalMs: 300_000, allowManualTrigger: true };
    const sink = anS3Sink({ rcloneFlags: ["--s3-upload-cutoff=100M"] });
    expect(syncSpecSchema.parse(aSpec({ mappings, sink, policy }))).toMatchObject({ mappings, sink, policy });
  });

  test.each([
    ["outward", "upload"],
    ["inward", "download"],
    ["both", "bidirectional"],
  ])("takes the older word %s for %s", (word, meant) => {
    expect(syncSpecSchema.parse(aSpec({ mappings: [aMapping({ direction: word })] })).mappings[0]?.direction).toBe(
      meant,
    );
  });

  test.each(["gcs", "azure-blob", "http", "local"])("cannot have a %s sink, and says so", (type) => {
    expect(wrong(aSpec({ sink: { type, bucket: "b" } }))).toEqual([["sink/type", "invalid_type"]]);
  });

  test("cannot stream changes", () => {
    expect(wrong(aSpec({ policy: { realtime: true } }))).toEqual([["policy/realtime", "invalid_type"]]);
    expect(wrong(aSpec({ policy: { realtime: false } }))).toEqual([]);
  });

  test.each(["data", "/", "/data/../etc", "/etc/x", "/data/", "/usr"])("cannot read %j in a container", (path) => {
    expect(pointers(aSpec({ mappings: [aMapping({ containerPath: path })] }))).toContain("mappings/0/containerPath");
  });

  test.each(["/abs", "../up", "a/../b", "a//b", ".", "a\\b", "a\0", `\${poolId}/`, `\${x`])(
    "cannot write to %j in a sink",
    (path) => {
      expect(pointers(aSpec({ mappings: [aMapping({ sinkPath: path })] }))).toEqual(["mappings/0/sinkPath"]);
    },
  );

  test("ends every place in a sink with a slash, so that no tenant's begins another's", () => {
    const spec = syncSpecSchema.parse(
      aSpec({ sink: anS3Sink({ prefix: `t-${TENANT}` }), mappings: [aMapping({ sinkPath: "x" })] }),
    );
    expect([spec.sink, spec.mappings[0]]).toMatchObject([{ prefix: `t-${TENANT}/` }, { sinkPath: "x/" }]);
  });

  test("cannot let tenants overwrite one another in a bucket", () => {
    const sink = anS3Sink({ prefix: "shared/" });
    expect(pointers(aSpec({ sink }))).toEqual(["mappings/0/sinkPath"]);
    expect(pointers(aSpec({ sink, mappings: [aMapping({ sinkPath: `${TENANT}/x` })] }))).toEqual([]);
    expect(pointers(aSpec({ sink, mappings: [aMapping({ direction: "download" })] }))).toEqual([]);
    expect(pointers(aSpec({ sink: { type: "r2", prefix: "shared" } }))).toEqual([]);
  });

  test.each(["ftp://x", "http://user:pw@x", "https://x?q=1", "https://x#f", "x", "file:///x"])(
    "cannot speak to %s",
    (endpoint) => {
      expect(pointers(aSpec({ sink: anS3Sink({ endpoint }) }))).toEqual(["sink/endpoint"]);
    },
  );

  test.each([
    "--config=/etc/passwd",
    "--s3-endpoint=http://elsewhere",
    "--transfers",
    "--transfers=0",
    "--transfers=8 --config=x",
    "--checksum=1",
    "--rc",
    "transfers=8",
    "",
    "--constructor=1",
  ])("cannot add the option %j to rclone", (flag) => {
    expect(pointers(aSpec({ sink: anS3Sink({ rcloneFlags: [flag] }) }))).toEqual(["sink/rcloneFlags/0"]);
  });

  test("may tune rclone", () => {
    const rcloneFlags = ["--transfers=8", "--checksum", "--s3-chunk-size=16Mi", "--max-delete=100", "--min-age=30s"];
    expect(pointers(aSpec({ sink: anS3Sink({ rcloneFlags }) }))).toEqual([]);
  });

  test.each([
    [{ policy: { intervalMs: 29_999 } }, "policy/intervalMs"],
    [{ mappings: [] }, "mappings"],
    [{ mappings: Array.from({ length: 21 }, (_, index) => aMapping({ sinkPath: `${index}` })) }, "mappings"],
    [{ mappings: [aMapping(), aMapping()] }, "mappings/1"],
    [{ mappings: [aMapping({ pattern: "[a" })] }, "mappings/0/pattern"],
    [{ mappings: [aMapping({ exclude: ["{{.*}}"] })] }, "mappings/0/exclude/0"],
    [{ sink: anS3Sink({ bucket: "../x" }) }, "sink/bucket"],
    [{ sink: anS3Sink({ secretAccessKey: "s" }) }, "sink/accessKeyId"],
    [{ sink: { type: "ftp" } }, "sink/type"],
  ])("%j is refused at %s", (more, pointer) => {
    expect(pointers(aSpec(more))).toEqual([pointer]);
  });

  test("is kept without its secret", () => {
    const input = syncSpecSchema.parse(aSpec({ sink: anS3Sink({ accessKeyId: "AK", secretAccessKey: "planted" }) }));
    const { spec, secret } = withoutSecret(input, input.id);
    expect([JSON.stringify(spec).includes("planted"), secret]).toEqual([false, "planted"]);
  });

  test("has one direction for all of its mappings", () => {
    const of = (...ways: string[]) =>
      directionOf(
        syncSpecSchema.parse(
          aSpec({ mappings: ways.map((direction, at) => aMapping({ direction, sinkPath: `${at}` })) }),
        ),
      );
    expect([of("upload"), of("download"), of("upload", "download"), of("bidirectional")]).toEqual([
      "outward",
      "inward",
      "both",
      "both",
    ]);
  });
});

describe("a spec's status", () => {
  const aTenant = (tenantId: string, more: object = {}, head: Size | null = null): TenantSync =>
    ofState(
      { tenantId: tenantId as TenantId, syncStatus: { lastSync: null, pending: false, errors: [] }, ...more },
      head,
    );
  const failedAt = (at: number) => ({ at, code: "save_failed", detail: "no" });

  test("of no tenants is idle and empty", () => {
    expect(statusOf([], 1)).toMatchObject({ state: "idle", lastSync: null, pending: false, errors: [], bytes: 0 });
  });

  test("adds up what is kept, and knows the latest sync", () => {
    const tenants = [
      aTenant("a", { syncStatus: { lastSync: 5, pending: false, errors: [] } }, { files: 1, bytes: 10 }),
      aTenant("b", { syncStatus: { lastSync: 9, pending: true, errors: [] } }, { files: 2, bytes: 20 }),
      aTenant("c"),
    ];
    expect(statusOf(tenants, 10)).toMatchObject({ state: "idle", lastSync: 9, pending: true, files: 3, bytes: 30 });
  });

  test("is an error until the same tenant synchronised, and lists the ten newest", () => {
    const healed = aTenant("a", { syncStatus: { lastSync: 8, pending: false, errors: [failedAt(7)] } });
    expect(statusOf([healed], 10)).toMatchObject({ state: "idle", errors: [] });
    const errors = Array.from({ length: 12 }, (_, at) => failedAt(at + 10));
    const status = statusOf([healed, aTenant("b", { syncStatus: { lastSync: 8, pending: true, errors } })], 30);
    expect(status.state).toBe("error");
    expect(status.errors.map(({ at }) => at)).toEqual([21, 20, 19, 18, 17, 16, 15, 14, 13, 12]);
  });

  test("is syncing while one does, for as long as the longest", () => {
    const running = (startedAt: number) => ({ operation: { kind: "sync", status: "running", startedAt } });
    const tenants = [aTenant("a", running(40)), aTenant("b", running(70)), aTenant("c")];
    expect(statusOf(tenants, 100)).toMatchObject({
      state: "syncing",
      durationMs: 60,
      progress: { syncing: 2, tenants: 3 },
    });
  });
});
