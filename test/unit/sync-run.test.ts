import { describe, expect, test } from "vitest";
import { extraFlags, flagProblem } from "../../src/sync/rclone-flags.ts";
import { guardTrips, legsOf, type Way, type Why } from "../../src/sync/run.ts";
import { isStateSpec, type SyncMapping, type SyncSpec, TENANT } from "../../src/sync/spec.ts";
import { downloadCall, listCall, type Transfer, uploadCall } from "../../src/sync/transfer.ts";

const mapping = (more: Partial<SyncMapping> = {}): SyncMapping => ({
  containerPath: "/data",
  sinkPath: "data/",
  direction: "upload",
  mode: "sync",
  exclude: [],
  ...more,
});
const s3 = { type: "s3", bucket: "b", region: "auto", prefix: `p/${TENANT}/`, rcloneFlags: [] } as SyncSpec["sink"];
const spec = (sink: SyncSpec["sink"], ...mappings: SyncMapping[]): SyncSpec => ({
  id: "s",
  poolId: "p",
  mappings,
  sink,
  policy: { onClaim: true, onRelease: true, allowManualTrigger: true },
});
const r2 = { type: "r2" } as SyncSpec["sink"];
const all = [
  mapping({ containerPath: "/up" }),
  mapping({ containerPath: "/down", direction: "download" }),
  mapping({ containerPath: "/both", direction: "bidirectional" }),
];
const legs = (sink: SyncSpec["sink"], why: Why, way: Way, restored = true) =>
  legsOf(spec(sink, ...all), "ann", why, way, restored).map(
    ({ mapping, way, deletes, update }) =>
      `${way} ${mapping.containerPath}${deletes ? " deletes" : ""}${update ? " newer" : ""}`,
  );

describe("what a run of a spec does", () => {
  test("a claim brings what comes in", () => {
    expect(legs(s3, "claim", "down")).toEqual(["down /down deletes", "down /both deletes"]);
  });

  test("an interval and a release take what goes out", () => {
    for (const why of ["interval", "release"] as const)
      expect(legs(s3, why, "up")).toEqual(["up /up deletes", "up /both deletes"]);
  });

  test("what goes both ways deletes nothing on its way out until it has come in", () => {
    expect(legs(s3, "release", "up", false)).toEqual(["up /up deletes", "up /both"]);
    expect(legs(r2, "release", "up", false)).toEqual(["up /up deletes", "up /both"]);
  });

  test("by hand every mapping goes its way; S3 merges what goes both ways, the vault takes it out", () => {
    expect(legs(s3, "manual", "both")).toEqual([
      "down /down deletes",
      "down /both newer",
      "up /up deletes",
      "up /both",
    ]);
    expect(legs(r2, "manual", "both")).toEqual(["down /down deletes", "up /up deletes", "up /both deletes"]);
    expect(legs(s3, "manual", "up")).toEqual(["up /up deletes", "up /both deletes"]);
    expect(legs(s3, "manual", "down")).toEqual(["down /down deletes", "down /both deletes"]);
  });

  test("a guard trips beyond the half", () => {
    expect([guardTrips(0, 0), guardTrips(1, 2), guardTrips(2, 3), guardTrips(1, 1)]).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  test("the whole state volume in the vault is no place of its own", () => {
    const whole = mapping({ containerPath: "/data" });
    expect(isStateSpec(spec(r2, whole), "/data")).toBe(true);
    expect(isStateSpec(spec(r2, whole), null)).toBe(false);
    expect(isStateSpec(spec(s3, whole), "/data")).toBe(false);
    expect(isStateSpec(spec(r2, whole, mapping({ containerPath: "/other" })), "/data")).toBe(false);
    expect(isStateSpec(spec(r2, mapping({ pattern: "*.x" })), "/data")).toBe(false);
    expect(isStateSpec(spec(r2, mapping({ exclude: ["x"] })), "/data")).toBe(false);
  });
});

describe("calls of rclone for a mapping", () => {
  const transfer = (more: Partial<Transfer> = {}): Transfer => ({
    mapping: mapping({ pattern: "*.pt", exclude: ["tmp/**"] }),
    sink: { specId: "ml", prefix: "p/ann/data/", backend: "s3" },
    extra: extraFlags([]),
    ...more,
  });
  const upload = {
    directory: "/data",
    deletes: false,
    versions: null,
    maxDelete: null,
    send: { files: 2, bytes: 2e7 },
  };

  test("an upload names the spec's bucket, the tenant's place and the mapping's globs, an exclude before the pattern", () => {
    const { path, body } = uploadCall(transfer(), upload);
    expect(path).toBe("sync/copy");
    expect(body.srcFs).toBe("/data");
    expect(body.dstFs).toMatch(/^sink,[^:]*:spec-ml\/p\/ann\/data\/$/);
    const { FilterRule: rules } = body._filter as { FilterRule: string[] };
    expect(rules.indexOf("- tmp/**")).toBeLessThan(rules.indexOf("+ *.pt"));
    expect(rules.at(-1)).toBe("- /**");
    expect(body._config).toMatchObject({ CheckSum: true, Metadata: true, Transfers: 4 });
    expect(body._config).not.toHaveProperty("Links");
  });

  test("a deletion has its limit, and a place for what it takes away", () => {
    const { path, body } = uploadCall(transfer(), {
      ...upload,
      deletes: true,
      versions: "p/ann/.versions/T/data/",
      maxDelete: 3,
    });
    expect(path).toBe("sync/sync");
    expect(body._config).toMatchObject({ MaxDelete: 3 });
    expect((body._config as { BackupDir: string }).BackupDir).toMatch(/:spec-ml\/p\/ann\/\.versions\/T\/data\/$/);
  });

  test("options may lower the limit of deletions, never raise it", () => {
    const limited = (flag: string) =>
      uploadCall(transfer({ extra: extraFlags([flag]) }), { ...upload, deletes: true, maxDelete: 3 }).body._config;
    expect(limited("--max-delete=1")).toMatchObject({ MaxDelete: 1 });
    expect(limited("--max-delete=100")).toMatchObject({ MaxDelete: 3 });
  });

  test("a mapping of a whole prefix passes over the versions in it", () => {
    const { body } = listCall(transfer({ mapping: mapping({ sinkPath: "" }) }), "sink");
    expect((body._filter as { FilterRule: string[] }).FilterRule).toEqual(["- /.versions/**"]);
  });

  test("a download goes beside, and leaves what is newer here", () => {
    const wanted = { staging: "/private/0", directory: "/data", besides: ["a[1].pt"], fetch: { files: 1, bytes: 1 } };
    const { path, body } = downloadCall(transfer(), wanted);
    expect([path, body.dstFs]).toEqual(["sync/copy", "/private/0"]);
    expect(body._config).toMatchObject({ CompareDest: ["/data"] });
    expect((body._filter as { FilterRule: string[] }).FilterRule[0]).toBe("- /a\\[1\\].pt");
  });

  test("the vault is compared by mod-time, S3 by hash", () => {
    const vault = uploadCall(transfer({ sink: { specId: "ml", prefix: "", backend: "vault" } }), upload).body._config;
    expect(vault).toMatchObject({ UseServerModTime: true });
    expect(vault).not.toHaveProperty("CheckSum");
  });

  test("options go where rclone has them", () => {
    const flags = [
      "--transfers=8",
      "--bwlimit=1M",
      "--max-size=10M",
      "--s3-upload-cutoff=100M",
      "--update",
      "--min-age=30s",
    ];
    for (const flag of flags) expect(flagProblem(flag), flag).toBeNull();
    expect(extraFlags(flags)).toEqual({
      rate: "1M",
      config: { Transfers: 8, UpdateOlder: true },
      filter: { MaxSize: "10M", MinAge: "30s" },
      remote: { upload_cutoff: "100M" },
    });
    expect(extraFlags(["--config=/etc/passwd", "--transfers=x"])).toEqual({
      config: {},
      filter: {},
      remote: {},
      rate: null,
    });
  });
});
