import { beforeAll, expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

/** One row a millisecond or so, in a write-ahead log, until the pause file is there. */
const WRITER = `
const { DatabaseSync } = require("node:sqlite"), fs = require("node:fs");
const db = new DatabaseSync("/data/app.db");
db.exec("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=20; CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text TEXT)");
const insert = db.prepare("INSERT INTO t (text) VALUES (?)");
setInterval(() => { if (!fs.existsSync("/tmp/pause")) for (let i = 0; i < 5; i++) insert.run("x".repeat(300)); }, 2);
`;
const START = 'js=$(cat); setsid node -e "$js" > /tmp/writer.log 2>&1 < /dev/null & sleep 2';
const CHECK = `
const { DatabaseSync } = require("node:sqlite");
const db = new DatabaseSync(process.argv[1]);
console.log(db.prepare("PRAGMA integrity_check").get().integrity_check, db.prepare("SELECT count(*) AS rows, max(id) AS last FROM t").get().rows);
`;
const SNAPSHOT = `
const { DatabaseSync } = require("node:sqlite"), fs = require("node:fs");
if (fs.existsSync("/data/app.db")) {
  fs.rmSync("/data/app.snapshot.new", { force: true });
  new DatabaseSync("/data/app.db").exec("PRAGMA busy_timeout=5000; VACUUM INTO '/data/app.snapshot.new'");
  fs.renameSync("/data/app.snapshot.new", "/data/app.snapshot");
}
`;

/** The first line that is not the one that was written there, the end counted as an empty one; -1: all are. */
const firstGap = (text: string): number =>
  text.split("\n").findIndex((line, index, lines) => line !== (index === lines.length - 1 ? "" : `line ${index + 1}`));

onContainers("what is saved", () => {
  const shared = useSharedStack();
  const sync = (tenant: string) =>
    shared.client.api("POST", `/tenants/${tenant}/sync?wait=60s`, { direction: "outward" });

  beforeAll(async () => {
    const { client } = shared;
    await client.workload({ id: "rules", exclude: ["*.tmp", "/cache/"] });
    await client.pool({ id: "rules", workloadId: "rules", minSize: 0 });
    await client.workload({
      id: "snapshots",
      preSave: ["node", "-e", SNAPSHOT],
      exclude: ["/app.db", "/app.db-*"],
    });
    await client.pool({ id: "snapshots", workloadId: "snapshots", minSize: 0 });
    await client.workload({
      id: "bad-hook",
      preSave: ["sh", "-c", "[ -e /data/fixed ] || { echo no disk >&2; exit 7; }"],
    });
    await client.pool({ id: "bad-hook", workloadId: "bad-hook", minSize: 0 });
  }, 60_000);

  it("leaves out what is excluded, by tar and by rclone, symlinks included", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("choosy", { poolId: "rules" })).containerId);
    await first.output(
      "workload",
      "cd /data; mkdir -p cache/deep sub; for i in $(seq 9); do echo $i > sub/$i; done; echo a > a.tmp; ln -s sub/1 b.tmp; echo c > cache/deep/c",
    );
    expect(await client.released("choosy")).toMatchObject({ files: 9, excluded: { files: 3, bytes: 4 } });
    const second = await containerOf(client, (await client.claimed("choosy")).containerId);
    expect(await second.output("workload", "cd /data; find . | sort | tr '\\n' ' '")).toBe(
      ". ./sub ./sub/1 ./sub/2 ./sub/3 ./sub/4 ./sub/5 ./sub/6 ./sub/7 ./sub/8 ./sub/9 ",
    );
    await second.output(
      "workload",
      "cd /data; echo new > sub/1; echo x > x.tmp; ln -s sub/1 y.tmp; mkdir cache; echo z > cache/z",
    );
    expect(await client.released("choosy")).toMatchObject({ files: 9, changed: 1, excluded: { files: 3, bytes: 4 } });
    const third = await containerOf(client, (await client.claimed("choosy")).containerId);
    expect(await third.output("workload", "cd /data; ls; cat sub/1")).toBe("sub\nnew\n");
    await client.discard("choosy");
  });

  it("has a file that was rewritten with size and mod-time put back, live and at the end", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("sly", { poolId: "work" })).containerId);
    const names = "'a b' plain 'x[1]{y}*?' 'ünï'";
    await first.output(
      "workload",
      `cd /data; for i in $(seq 20); do echo $i > f$i; done; for f in ${names}; do echo 11111111 > "$f"; done`,
    );
    expect((await sync("sly")).body.saved).toMatchObject({ files: 24 });
    const rewrite = (text: string) =>
      `cd /data; sleep 0.05; for f in ${names}; do touch -r "$f" /tmp/ref; echo ${text} > "$f"; touch -r /tmp/ref "$f"; done`;
    await first.output("workload", rewrite("22222222"));
    expect((await sync("sly")).body.saved).toMatchObject({ changed: 4 });
    expect((await sync("sly")).body.saved).toMatchObject({ changed: 0 });
    expect(await client.released("sly")).toMatchObject({ changed: 0 });

    const second = await containerOf(client, (await client.claimed("sly")).containerId);
    expect(await second.output("workload", `cd /data; cat ${names}`)).toBe("22222222\n".repeat(4));
    await second.output("workload", rewrite("33333333"));
    expect(await client.released("sly")).toMatchObject({ changed: 4 });
    const third = await containerOf(client, (await client.claimed("sly")).containerId);
    expect(await third.output("workload", `cd /data; cat ${names}`)).toBe("33333333\n".repeat(4));
    await client.discard("sly");
  });

  it("is a whole database with its log, saved while it is open, and nothing of its shared memory", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("database", { poolId: "work" })).containerId);
    await first.output("workload", START, WRITER);
    expect(await first.output("workload", "ls /data")).toBe("app.db\napp.db-shm\napp.db-wal\n");
    await first.output("workload", "touch /tmp/pause; sleep 0.1");
    const rows = (await first.output("workload", 'cp /data/app.db* /tmp/; node -e "$(cat)" /tmp/app.db', CHECK)).trim();
    expect(rows).toMatch(/^ok [1-9]/);
    const saved = await sync("database");
    expect(saved.body.saved, saved.text).toMatchObject({ files: 2 });
    // It goes on, and is lost with what it wrote since.
    await first.output("workload", "rm /tmp/pause; sleep 0.5");
    await first.kill();

    const second = await client.claimed("database");
    expect(second.restored).toMatchObject({ files: 2 });
    const restored = await containerOf(client, second.containerId);
    expect((await restored.output("workload", 'node -e "$(cat)" /data/app.db', CHECK)).trim()).toBe(rows);
    await client.discard("database");
  });

  it("is what preSave made of a database that is written all the time, also live", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("busy-db", { poolId: "snapshots" })).containerId);
    await first.output("workload", START, WRITER);
    const live = await sync("busy-db");
    expect(live.body.saved, live.text).toMatchObject({ files: 1 });
    expect(live.body.saved.excluded.files).toBeGreaterThanOrEqual(1);
    await first.kill();
    const second = await containerOf(client, (await client.claimed("busy-db")).containerId);
    expect(await second.output("workload", "ls /data")).toBe("app.snapshot\n");
    expect(await second.output("workload", 'node -e "$(cat)" /data/app.snapshot', CHECK)).toMatch(/^ok [1-9]/);
    await client.discard("busy-db");
  });

  it("never has half of a file that grows while it is saved: live it is named or one moment of it, in the end it is whole", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("growing", { poolId: "work" })).containerId);
    await client.put("growing", "still.txt", "kept");
    await first.output(
      "workload",
      "setsid sh -c 'i=0; while :; do i=$((i + 1)); echo line $i >> /data/grow.log; done' > /dev/null 2>&1 < /dev/null & sleep 0.3",
    );
    // Whether the writer pauses while the file is sent is up to the machine.
    const live = await sync("growing");
    const generation = live.status === 200 ? 1 : 0;
    if (live.status === 200) {
      const moment = await client.api("GET", "/tenants/growing/files/grow.log?generation=1");
      expect(moment.body.content.length, "grow.log as it was listed").toBe(live.body.saved.bytes - "kept".length);
      expect(firstGap(moment.body.content)).toBe(-1);
    } else {
      expect(live.body).toMatchObject({ code: "save_failed" });
      expect(live.body.detail).toContain("grow.log");
    }
    expect((await client.status("growing")).body).toMatchObject({ state: "active", generation });
    expect(await client.released("growing")).toMatchObject({ files: 2 });
    const second = await containerOf(client, (await client.claimed("growing")).containerId);
    const whole = await second.output("workload", "cat /data/grow.log");
    expect(whole.length).toBeGreaterThan(1_000);
    expect(firstGap(whole)).toBe(-1);
    await client.discard("growing");
  });

  it("waits for a preSave that fails, says its exit code and what it printed, and takes force for an answer", async () => {
    const { client } = shared;
    const container = await containerOf(client, (await client.claimed("hook", { poolId: "bad-hook" })).containerId);
    await client.put("hook", "a.txt", "kept");
    const refused = await client.release("hook");
    expect(refused.body).toMatchObject({ code: "save_failed", preSave: { exitCode: 7, output: "no disk\n" } });
    await container.output("root", ": > /data/fixed");
    expect(await client.released("hook")).toMatchObject({ files: 2 });
    await client.claimed("forced-hook", { poolId: "bad-hook" });
    await client.put("forced-hook", "a.txt", "kept");
    expect(await client.released("forced-hook", { force: true })).toMatchObject({ files: 1 });
  });
});
