import { describe, expect, it, test } from "vitest";
import { type SyncJob, syncCall, transfersFor } from "../../src/sync/options.ts";

const aJob = (more: Partial<SyncJob> = {}): SyncJob => ({
  directory: "/data",
  mode: "sync",
  backend: "vault",
  ...more,
});

describe("a call of rclone", () => {
  it("is a job of its own group, so that no earlier error keeps it from deleting", () => {
    const { path, body } = syncCall(aJob());
    expect(path).toBe("sync/sync");
    expect(body).toMatchObject({ srcFs: "/data", _async: true });
    expect(body).not.toHaveProperty("_group");
  });

  it("compares by the vault's own mod-times, and by hashes elsewhere", () => {
    expect(syncCall(aJob()).body._config).toMatchObject({
      UseServerModTime: true,
      UseListR: true,
      Metadata: true,
      Links: true,
    });
    const elsewhere = syncCall(aJob({ backend: "s3" })).body._config;
    expect(elsewhere).toMatchObject({ CheckSum: true });
    expect(elsewhere).not.toHaveProperty("UseServerModTime");
  });

  it("names a prefix of the bucket, and what is left out", () => {
    const { path, body } = syncCall(aJob({ mode: "copy", prefix: "photos", exclude: ["*.tmp"] }));
    expect(path).toBe("sync/copy");
    expect(body.dstFs).toMatch(/^sink,.*list_version=2.*:state\/photos$/);
    expect(body._filter).toEqual({ FilterRule: ["- *.tmp", "- *.tmp.rclonelink"] });
    expect(syncCall(aJob()).body).not.toHaveProperty("_filter");
  });

  test.each([
    [undefined, 4],
    [{ files: 0, bytes: 0 }, 4],
    [{ files: 1000, bytes: 10_000_000 }, 32],
    [{ files: 32, bytes: 32 * 1_048_576 }, 32],
    [{ files: 32, bytes: 960_000_000 }, 4],
  ])("sends %j with %i transfers at a time", (send, transfers) => {
    expect(transfersFor(send)).toBe(transfers);
  });
});
