import { afterEach, describe, expect, it, vi } from "vitest";
import type { InstanceApi } from "../../src/instance/types.ts";
import { Vault } from "../../src/vault/object.ts";
import { aPool, call, claim, env, eventually, get, put, release, simulation, status } from "../support/fleet.ts";

/** What a save leaves out, what it runs before, and what it notices. */

const sync = (tenant: string) => call("POST", `/api/v1/tenants/${tenant}/sync?wait=10s`, { direction: "outward" });
const filesOf = (containerId: string) => simulation.for(containerId).container.files;
const textOf = async (tenant: string, path: string) => (await get(tenant, path)).text();

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("what is excluded", () => {
  it("is neither saved nor restored, and the save says how much it was", async () => {
    const pool = await aPool("excluding", {}, { exclude: ["*.tmp", "cache/"] });
    await claim("tidy", pool);
    await put("tidy", "a.txt", "kept");
    await put("tidy", "b.tmp", "12345");
    await put("tidy", "cache/deep/c", "1234567");
    expect(await release("tidy")).toMatchObject({
      status: 200,
      body: { saved: { files: 1, bytes: 4, excluded: { files: 2, bytes: 12 } } },
    });
    await claim("tidy", pool);
    expect((await get("tidy", "")).status).toBe(200);
    const { body } = await call<{ files: { path: string }[] }>("GET", "/t/tidy/files/");
    expect(body.files.map(({ path }) => path)).toEqual(["a.txt"]);
  });

  it("leaves the next generation without alarming the guard, which still guards the rest", async () => {
    const pool = await aPool("excluding-later", { minSize: 0 });
    await claim("later", pool);
    for (let i = 0; i < 6; i++) await put("later", `logs/${i}.log`, "x".repeat(1000));
    for (let i = 0; i < 4; i++) await put("later", `${i}.txt`, "precious");
    expect(await release("later")).toMatchObject({ body: { saved: { files: 10 } } });
    const spec = { image: "sandbox", port: 8080, volumes: { state: { containerPath: "/data" } }, exclude: ["logs/"] };
    expect((await call("PUT", "/api/v1/workloads/excluding-later", spec)).status).toBe(200);
    await claim("later", pool);
    expect(await release("later")).toMatchObject({
      status: 200,
      body: { saved: { files: 4, excluded: { files: 6 } } },
    });
    const { body } = await claim("later", pool);
    for (let i = 0; i < 3; i++) filesOf(body.containerId).remove(`/data/${i}.txt`);
    expect(await release("later")).toMatchObject({ status: 409, body: { code: "guard_blocked" } });
  });
});

describe("preSave", () => {
  it("runs before a live save and before the last one, as the workload's user", async () => {
    const pool = await aPool(
      "flushing",
      {},
      { preSave: ["sh", "-c", "cat /data/a.txt > /data/a.copy; id -u > /data/who"] },
    );
    const { body } = await claim("flusher", pool);
    await put("flusher", "a.txt", "one");
    expect(await sync("flusher")).toMatchObject({ status: 200, body: { saved: { files: 3 } } });
    await put("flusher", "a.txt", "two");
    expect(await release("flusher")).toMatchObject({ status: 200, body: { timings: { preSave: expect.any(Number) } } });
    expect((await claim("flusher", pool)).body.containerId).not.toBe(body.containerId);
    expect([await textOf("flusher", "a.copy"), await textOf("flusher", "who")]).toEqual(["two", "10001\n"]);
  });

  it("that fails keeps the container with its exit code and what it printed, and is run again", async () => {
    const preSave = ["sh", "-c", "cat /data/needed > /tmp/out && exit 0; echo token=abcdefghijklmnop1234 >&2; exit 3"];
    const pool = await aPool("failing-hook", {}, { preSave });
    const { body } = await claim("hooked", pool);
    await put("hooked", "a.txt", "precious");
    const refused = await release("hooked");
    expect(refused).toMatchObject({ body: { code: "save_failed", preSave: { exitCode: 3 } } });
    expect(JSON.stringify(refused.body)).not.toContain("abcdefghijklmnop1234");
    expect((await status("hooked")).body).toMatchObject({ state: "release_failed", containerId: body.containerId });
    filesOf(body.containerId).write("/data/needed", "");
    expect(await release("hooked")).toMatchObject({ status: 200, body: { saved: { files: 2 } } });
  });

  it("that fails does not hold up a forced release", async () => {
    const pool = await aPool("forced-hook", {}, { preSave: ["false"] });
    await claim("forcer", pool);
    await put("forcer", "a.txt", "precious");
    expect(await release("forcer", { force: true })).toMatchObject({ status: 200, body: { saved: { files: 1 } } });
  });

  it("is not asked for again of a workload that was stopped after it", async () => {
    const pool = await aPool(
      "once-hook",
      {},
      { preSave: ["sh", "-c", "cat /data/once > /data/copy && rm /data/once"] },
    );
    const { body } = await claim("once", pool);
    await put("once", "once", "flushed");
    simulation.for(body.containerId).fail("manifest", { times: 1 });
    expect((await release("once")).status).toBeGreaterThanOrEqual(400);
    expect(await release("once")).toMatchObject({ status: 200, body: { saved: { files: 1 } } });
    await claim("once", pool);
    expect(await textOf("once", "copy")).toBe("flushed");
  });
});

describe("a file that looks the same", () => {
  it("is saved when it was rewritten with size and mod-time put back, live and at the end", async () => {
    const pool = await aPool("sly");
    await claim("sly", pool);
    for (let i = 0; i < 8; i++) await put("sly", `${i}.txt`, "0123456789");
    await release("sly");
    const { body } = await claim("sly", pool);
    const files = filesOf(body.containerId);
    const rewrite = (path: string, text: string) => {
      const before = files.stat(path);
      if (before?.kind !== "file") throw new Error(path);
      files.write(path, text, before, before.mode);
      files.change(path, { mtimeNs: before.mtimeNs });
    };
    rewrite("/data/1.txt", "ABCDEFGHIJ");
    expect(await sync("sly")).toMatchObject({ status: 200, body: { saved: { changed: 1 } } });
    expect(await sync("sly")).toMatchObject({ status: 200, body: { saved: { changed: 0 } } });
    rewrite("/data/2.txt", "abcdefghij");
    expect(await release("sly")).toMatchObject({ status: 200, body: { saved: { changed: 1 } } });
    await claim("sly", pool);
    expect([await textOf("sly", "1.txt"), await textOf("sly", "2.txt")]).toEqual(["ABCDEFGHIJ", "abcdefghij"]);
  });
});

describe("a live save", () => {
  it("commits nothing that changed while it was sent, and saves it as it became", async () => {
    const pool = await aPool("torn");
    const { body } = await claim("torn", pool);
    await put("torn", "a.txt", "before");
    await put("torn", "b.txt", "other");
    const commit = vi.spyOn(Vault.prototype, "commit");
    const open = Vault.prototype.open;
    vi.spyOn(Vault.prototype, "open").mockImplementationOnce(async function (this: Vault, ...args) {
      const answer = await open.apply(this, args);
      filesOf(body.containerId).write("/data/a.txt", "after!", { uid: 10001, gid: 10001 });
      return answer;
    });
    expect(await sync("torn")).toMatchObject({ status: 200, body: { saved: { files: 2 } } });
    // What arrived was not what had been listed.
    expect(await Promise.all(commit.mock.results.map(({ value }) => value))).toMatchObject([
      { ok: false, failure: { code: "save_failed", detail: expect.stringContaining("a.txt") } },
      { ok: true },
    ]);
    simulation.for(body.containerId).crash();
    await eventually(async () => expect(await textOf("torn", "a.txt")).toBe("after!"));
  });

  it("is made anew where a file was rewritten under it with size and mod-time put back", async () => {
    const pool = await aPool("disguised");
    const { body } = await claim("disguised", pool);
    await put("disguised", "a.txt", "before");
    const commit = vi.spyOn(Vault.prototype, "commit");
    const open = Vault.prototype.open;
    vi.spyOn(Vault.prototype, "open").mockImplementationOnce(async function (this: Vault, ...args) {
      const answer = await open.apply(this, args);
      const files = filesOf(body.containerId);
      const { mtimeNs } = files.stat("/data/a.txt") ?? {};
      files.write("/data/a.txt", "after!", { uid: 10001, gid: 10001 });
      files.write("/data/new.txt", "beside it", { uid: 10001, gid: 10001 });
      files.change("/data/a.txt", { mtimeNs: mtimeNs as bigint });
      return answer;
    });
    expect(await sync("disguised")).toMatchObject({ status: 200, body: { saved: { files: 2 } } });
    expect(commit).toHaveBeenCalledOnce(); // of the first try, nothing: its new file was not listed
    simulation.for(body.containerId).crash();
    await eventually(async () => expect(await textOf("disguised", "a.txt")).toBe("after!"));
    expect(await textOf("disguised", "new.txt")).toBe("beside it");
  });

  it("that skips what is unchanged makes no generation, but one for a mode alone", async () => {
    const pool = await aPool("skipping");
    const { body } = await claim("skipper", pool);
    await put("skipper", "a.txt", "text");
    const first = await sync("skipper");
    expect(first).toMatchObject({ status: 200, body: { saved: { generation: 1 } } });
    const instance = env.INSTANCE.getByName(body.containerId) as unknown as InstanceApi;
    const skip = (saveId: string) =>
      instance.save({
        epoch: body.epoch as never,
        saveId,
        force: false,
        timeoutMs: 10_000,
        live: true,
        skipUnchanged: true,
      });
    const unchanged = { ok: true, value: { generation: 1, changed: 0, unchanged: true } };
    expect(await skip("interval-1")).toMatchObject(unchanged);
    expect(await skip("interval-1")).toMatchObject(unchanged);
    filesOf(body.containerId).change("/data/a.txt", { mode: 0o600 });
    expect(await skip("interval-2")).toMatchObject({ ok: true, value: { generation: 2, changed: 0 } });
    expect(await skip("interval-3")).toMatchObject({ ok: true, value: { generation: 2, unchanged: true } });
    filesOf(body.containerId).write("/data/b.txt", "more", { uid: 10001, gid: 10001 });
    expect(await skip("interval-4")).toMatchObject({ ok: true, value: { generation: 3, changed: 1 } });
  });
});
