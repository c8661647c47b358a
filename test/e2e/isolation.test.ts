import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import type { Answer } from "../support/e2e-http.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("one container for one tenant", () => {
  const shared = useSharedStack();

  it("twenty claims of a tenant at once give one container", async () => {
    const { client } = shared;
    await client.pool({ id: "isolation-crowd", minSize: 1 });
    const claims = Array.from({ length: 20 }, () => client.claim("crowd", { poolId: "isolation-crowd" }));
    const answers = await Promise.all(claims);
    for (const answer of answers) expect([200, 201], answer.text).toContain(answer.status);
    expect(new Set(answers.map(({ body }) => `${body.containerId} ${body.epoch}`)).size).toBe(1);
    const { body: pool } = await client.api("GET", "/pools/isolation-crowd");
    expect(pool.claimed).toBe(1);
    expect(pool.size, "the claimed one and at most the refill of its slot").toBeLessThanOrEqual(2);
    await client.discard("crowd");
  });

  it("ten tenants at once get a container each, and each sees its own files only", async () => {
    const { client } = shared;
    const tenants = Array.from({ length: 10 }, (_, index) => `ten-${index}`);
    const claims = await Promise.all(tenants.map((tenant) => client.claimed(tenant, { poolId: "work" })));
    expect(new Set(claims.map(({ containerId }) => containerId)).size).toBe(10);
    await Promise.all(tenants.map((tenant) => client.put(tenant, "who.txt", tenant)));
    const seen = await Promise.all(tenants.map((tenant) => client.get(tenant, "who.txt")));
    expect(seen.map(({ text }) => text)).toEqual(tenants);
    const containers = await Promise.all(claims.map(({ containerId }) => containerOf(client, containerId)));
    const inside = await Promise.all(containers.map((container) => container.output("workload", "cat /data/*")));
    expect(inside).toEqual(tenants);
    await Promise.all(tenants.map((tenant) => client.discard(tenant)));
  });

  it("requests fired during release and re-claim reach no other tenant, and what was acknowledged is kept", async () => {
    const { client } = shared;
    await client.claimed("mover", { poolId: "work" });
    await client.claimed("neighbour", { poolId: "work" });
    await client.put("mover", "who.txt", "mover");
    await client.put("neighbour", "who.txt", "neighbour");

    let firing = true;
    const reads: Answer[] = [];
    const acknowledged: string[] = [];
    const reader = async () => {
      while (firing) reads.push(await client.get("mover", "who.txt"));
    };
    const writer = async () => {
      for (let n = 0; firing; n++) {
        const answer = await client.at("mover", "PUT", `/files/written-${n}`, { body: `${n}` });
        if (answer.status === 201) acknowledged.push(`${n}`);
        else await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const traffic = [reader(), writer()];
    for (let round = 0; round < 3; round++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      // Both leave, and both come back: their containers are others' in between, were they ever reused.
      await Promise.all([client.released("mover"), client.released("neighbour")]);
      await Promise.all([client.claimed("neighbour"), client.claimed("mover")]);
    }
    firing = false;
    await Promise.all(traffic);

    const statuses = new Set(reads.map(({ status }) => status));
    for (const { status, text } of reads) if (status === 200) expect(text).toBe("mover");
    expect(
      [...statuses].filter((status) => ![200, 404, 409, 503].includes(status)),
      "other answers",
    ).toEqual([]);
    expect(reads.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
    expect(acknowledged.length).toBeGreaterThan(0);
    for (const n of acknowledged) expect((await client.get("mover", `written-${n}`)).text).toBe(n);
    expect((await client.get("neighbour", "who.txt")).text).toBe("neighbour");
    expect((await client.get("neighbour", "written-0")).status).toBe(404);
    await client.discard("mover", "neighbour");
  });

  it("a route that was good a moment ago leads to the tenant's new container, not to the old one", async () => {
    const { client } = shared;
    const first = await client.claimed("stale", { poolId: "work" });
    await client.put("stale", "n", "1"); // the Worker knows the route now
    await client.released("stale");
    const gone = await client.get("stale", "n");
    expect(gone.status, gone.text).not.toBe(200);
    const second = await client.claimed("stale");
    // Without a body, with one, and as an upgrade: each takes another way out of a stale route.
    await client.put("stale", "n", "2");
    expect((await client.get("stale", "n")).text).toBe("2");
    const socket = await client.socket("stale");
    socket.send("x");
    expect(await socket.next()).toBe("x");
    await socket.close();
    expect(second.containerId).not.toBe(first.containerId);
    expect(await (await containerOf(client, second.containerId)).output("workload", "cat /data/n")).toBe("2");
    await client.discard("stale");
  });

  it("a container reaches neither another tenant's container nor the host, whatever it runs as", async () => {
    const { client } = shared;
    const [one, other] = [
      await client.claimed("curious", { poolId: "work" }),
      await client.claimed("private", { poolId: "work" }),
    ];
    await client.put("private", "diary", "mine");
    const [mine, theirs] = [await containerOf(client, one.containerId), await containerOf(client, other.containerId)];
    const address = (await theirs.output("root", "tail -n 1 /etc/hosts")).split(/\s/)[0] ?? "";
    expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    const host = address.replace(/\d+$/, "1"); // the bridge's own end
    for (const target of [`${address}:8080/files/diary`, `${address}:41800/`, `${host}:${client.port}/health`]) {
      for (const user of ["workload", "root"] as const) {
        const { stdout } = await mine.run(user, `curl -s -m 5 http://${target}; true`);
        expect(stdout, `${user} → ${target}`).toBe("");
      }
    }
    await client.discard("curious", "private");
  });
});
