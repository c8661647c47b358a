import { describe, expect, it } from "vitest";
import { epoch } from "../../src/ids.ts";
import { AgentClient } from "../../src/instance/agent.ts";
import { ControlClient } from "../../src/instance/control.ts";
import { type ContainerRuntime, RuntimeError } from "../../src/runtime/port.ts";

const KEYS = { bootId: "boot-1", bootKey: "key-1", accessKeyId: "access-1" };

/** A runtime whose ports answer as told. */
function answering(answer: (request: Request, port: number) => Response | Promise<Response>): ContainerRuntime {
  const unused = () => {
    throw new Error("not a part of this test");
  };
  return {
    running: true,
    images: [],
    start: unused,
    exec: unused,
    intercept: unused,
    monitor: unused,
    signal: unused,
    destroy: unused,
    keepFor: unused,
    inspect: unused,
    fetch: async (port, request) => await answer(request, port),
  };
}
const json = (body: object, status = 200) => Response.json({ bootId: KEYS.bootId, ...body }, { status });
const controlOf = (answer: (request: Request) => Response | Promise<Response>) =>
  new ControlClient(answering(answer), KEYS);

describe("the control client", () => {
  it("sends the boot key, and an epoch, a deadline and a body where there are some", async () => {
    const seen: string[] = [];
    const client = controlOf(async (request) => {
      seen.push(
        `${request.method} ${new URL(request.url).search} ${request.headers.get("authorization")} ${(await request.arrayBuffer()).byteLength}`,
      );
      return json({ epoch: 4, restored: null, timings: { applyMs: 1, restoreMs: 0, verifyMs: 0 } });
    });
    const claimed = await client.claim(epoch(4), new Uint8Array([1, 2, 3]), 1_000);
    expect(claimed).toMatchObject({ ok: true, value: { epoch: 4, restored: null } });
    expect(seen).toEqual(["POST ?op=claim&epoch=4&timeoutMs=1000 Bearer key-1 3"]);
  });

  it("takes an answer of another boot for the end of the container that was meant", async () => {
    const client = controlOf(() =>
      Response.json({ bootId: "boot-2", workload: "running", restarts: 0, lastExitCode: null }),
    );
    expect(await client.status()).toMatchObject({ ok: false, failure: { code: "container_unavailable" } });
  });

  it("gives up at the deadline, whatever the container does with it", async () => {
    const client = controlOf(() => new Promise(() => {}));
    expect(await client.status(20)).toMatchObject({ ok: false, failure: { code: "deadline_exceeded" } });
    const stuck = controlOf(() => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })));
    expect(await stuck.status(20)).toMatchObject({ ok: false, failure: { code: "deadline_exceeded" } });
  });

  it("holds no answer that has no end", async () => {
    let sent = 0;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            sent += 1_048_576;
            controller.enqueue(new Uint8Array(1_048_576).fill(32));
          },
        }),
      );
    const client = controlOf(endless);
    expect(await client.status(10_000)).toMatchObject({ ok: false });
    expect(sent).toBeLessThan(10 * 1_048_576);
    expect(await client.manifest(10_000)).toMatchObject({
      ok: false,
      failure: { code: "save_failed", detail: expect.stringContaining("more files") },
    });
    expect(sent).toBeLessThan(80 * 1_048_576);
  });

  it("tells what did not happen from what may have happened", async () => {
    const failing = (code: "not_listening" | "lost") =>
      controlOf(() => {
        throw new RuntimeError(code, "x");
      }).start();
    expect(await failing("not_listening")).toMatchObject({ failure: { code: "container_unavailable" } });
    expect(await failing("lost")).toMatchObject({ failure: { code: "operation_interrupted" } });
  });

  it.each([
    ["already_claimed", "stale_epoch"],
    ["restore_failed", "restore_failed"],
    ["bundle_failed", "save_failed"],
    ["something_new", "internal"],
  ])("translates %s into %s", async (error, code) => {
    const client = controlOf(() => json({ error, detail: "why" }, 500));
    expect(await client.bundle(1_000)).toMatchObject({ ok: false, failure: { code, extra: { control: error } } });
  });

  it("does not take a page of the web server for an answer", async () => {
    const client = controlOf(() => new Response("<html>500</html>", { status: 500 }));
    expect((await client.status()).ok).toBe(false);
    expect((await client.manifest(1_000)).ok).toBe(false);
  });

  it("does not take a broken manifest for a short one", async () => {
    const client = controlOf(() => new Response("d 755 0 0 0 1.0000000000 1.0000000000 2 \0"));
    expect(await client.manifest(1_000)).toMatchObject({ ok: false, failure: { code: "save_failed" } });
  });
});

describe("the agent client", () => {
  const JOB = { directory: "/data", mode: "sync", backend: "vault" } as const;
  const timing = () => {
    const time = { at: 0, pauses: [] as number[] };
    const sleep = async (ms: number) => {
      time.at += ms;
      time.pauses.push(ms);
    };
    return { time, clock: { now: () => time.at, sleep } };
  };

  it("asks soon at first, then less and less often, and stops the job at the deadline", async () => {
    const calls: string[] = [];
    const { time, clock } = timing();
    const runtime = answering((request) => {
      const path = new URL(request.url).pathname;
      if (path !== "/job/status") calls.push(path);
      if (path === "/sync/sync") return Response.json({ jobid: 3, executeId: "e" });
      return Response.json({ finished: false, success: false, error: "", executeId: "e" });
    });
    const outcome = await new AgentClient(runtime, KEYS, clock).sync(JOB, 1_000);
    expect(outcome).toMatchObject({ ok: false, failure: { code: "deadline_exceeded", extra: { problem: "timeout" } } });
    expect(calls).toEqual(["/sync/sync", "/job/stop"]);
    expect(time.pauses).toEqual([5, 10, 20, 40, 80, 160, 250, 250, 185]);
  });

  const STATS = { bytes: 1, checks: 0, deletes: 0, errors: 0, transfers: 1, totalBytes: 1, totalTransfers: 1 };
  it.each([
    [3, { ok: true }],
    [4, { ok: false, failure: { code: "deadline_exceeded" } }],
  ])("asks for a job again when %i answers in a row do not come, four at most", async (silent, expected) => {
    const { clock } = timing();
    let asked = 0;
    const runtime = answering((request) => {
      if (new URL(request.url).pathname === "/core/stats") return Response.json(STATS);
      asked += 1;
      if (asked <= silent) throw new RuntimeError("timeout", "No answer.");
      return Response.json({ finished: true, success: true, error: "", executeId: "e" });
    });
    const outcome = await new AgentClient(runtime, KEYS, clock).finish({ jobid: 3, executeId: "e" }, 60_000);
    expect(outcome).toMatchObject(expected);
  });

  it("does not take the job of another run of the agent for its own", async () => {
    const { clock } = timing();
    const runtime = answering(() => Response.json({ finished: true, success: true, error: "", executeId: "later" }));
    const outcome = await new AgentClient(runtime, KEYS, clock).finish({ jobid: 3, executeId: "e" }, 1_000);
    expect(outcome).toMatchObject({ ok: false, failure: { code: "operation_interrupted" } });
  });

  it("takes an agent with another password for another boot's", async () => {
    const runtime = answering(() => new Response(null, { status: 401 }));
    const outcome = await new AgentClient(runtime, KEYS).version();
    expect(outcome).toMatchObject({ ok: false, failure: { code: "container_unavailable" } });
  });
});
