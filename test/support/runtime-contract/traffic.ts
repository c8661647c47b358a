import assert from "node:assert/strict";
import { Capture } from "../../../src/runtime/capture.ts";
import { boot, bootStateful, type Contract, codeOf, get, PORT, ready, STATE_DIR, text, value } from "./harness.ts";
import { claimFresh } from "./parcels.ts";

export const traffic: Contract = {
  "exec collects output, errors and the exit code": async (harness) => {
    await boot(harness);
    const said = await harness.runtime.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], { timeoutMs: 10_000 });
    assert.deepEqual([said.exitCode, text(said.stdout), text(said.stderr)], [3, "out\n", "err\n"]);
  },

  "exec passes standard input, environment, user and directory": async ({ runtime, ...harness }) => {
    await boot({ runtime, ...harness });
    const input = "x".repeat(100_000);
    const echoed = await runtime.exec(["cat"], { timeoutMs: 10_000, stdin: input });
    assert.equal(text(echoed.stdout), input);
    const nothing = await runtime.exec(["cat"], { timeoutMs: 10_000 });
    assert.equal(nothing.stdout.length, 0);
    const variable = await runtime.exec(["printenv", "GREETING"], { timeoutMs: 10_000, env: { GREETING: "hello" } });
    assert.equal(text(variable.stdout), "hello\n");
    const where = await runtime.exec(["sh", "-c", "id -u; pwd"], {
      timeoutMs: 10_000,
      user: "10001:10001",
      cwd: "/tmp",
    });
    assert.equal(text(where.stdout), "10001\n/tmp\n");
  },

  "a program that does not exist is an exit code, not an error": async (harness) => {
    await boot(harness);
    const answer = await harness.runtime.exec(["no-such-program"], { timeoutMs: 10_000 });
    assert.ok([126, 127].includes(answer.exitCode), String(answer.exitCode));
  },

  "exec that outlives its time is killed with all that it started, and the container lives": async (harness) => {
    await boot(harness);
    const before = Date.now();
    const late = ["sh", "-c", "sleep 1; echo late > /tmp/late"];
    assert.equal(await codeOf(() => harness.runtime.exec(late, { timeoutMs: 300 })), "timeout");
    assert.ok(Date.now() - before < 900);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.notEqual((await harness.runtime.exec(["cat", "/tmp/late"], { timeoutMs: 10_000 })).exitCode, 0);
  },

  "exec hands out what was printed within its limit, also by a command whose time was over": async (harness) => {
    await boot(harness);
    const capture = new Capture(8);
    const script = "echo 0123456789; echo err >&2; sleep 5";
    const late = () => harness.runtime.exec(["sh", "-c", script], { timeoutMs: 500, capture });
    assert.equal(await codeOf(late), "timeout");
    assert.deepEqual([text(capture.stdout.bytes), text(capture.stderr.bytes)], ["01234567", "err\n"]);
    assert.deepEqual([capture.stdout.truncated, capture.stderr.truncated], [true, false]);
    const whole = new Capture(100);
    const said = await harness.runtime.exec(["sh", "-c", "echo out; exit 3"], { timeoutMs: 10_000, capture: whole });
    assert.deepEqual([said.exitCode, text(said.stdout), said.stderr.length], [3, "out\n", 0]);
  },

  "fetch carries method, query, headers and body both ways": async (harness) => {
    await bootStateful(harness).then(claimFresh);
    await ready(harness.runtime);
    const request = new Request("https://alice.example/files/some/file.txt", { method: "PUT", body: "contents" });
    const put = await harness.runtime.fetch(PORT, request);
    assert.deepEqual([put.status, await put.json()], [201, { path: "some/file.txt", bytes: 8 }]);
    const got = await get(harness.runtime, "/files/some/file.txt");
    assert.deepEqual([got.headers.get("content-type"), await got.text()], ["application/octet-stream", "contents"]);
    const seen = await harness.runtime.fetch(
      PORT,
      new Request("http://container/whoami", { headers: { "x-mark": "1" } }),
    );
    const { headers } = (await seen.json()) as { headers: Record<string, string> };
    assert.equal(headers["x-mark"], "1");
  },

  "a port on which nobody listens is told apart from a container that does not run": async (harness) => {
    await boot(harness);
    assert.equal(await codeOf(() => get(harness.runtime, "/", 12345)), "not_listening");
  },

  "a request's own signal ends the wait for a workload that hangs": async (harness) => {
    await boot(harness);
    await ready(harness.runtime);
    const request = new Request("http://container/hang", { method: "POST", signal: AbortSignal.timeout(300) });
    const before = Date.now();
    assert.equal(await codeOf(() => harness.runtime.fetch(PORT, request)), "timeout");
    assert.ok(Date.now() - before < 5_000);
  },

  "a WebSocket passes through in both directions": async (harness) => {
    await boot(harness);
    await ready(harness.runtime);
    const request = new Request("http://container/echo", { headers: { upgrade: "websocket" } });
    const response = await harness.runtime.fetch(PORT, request);
    assert.equal(response.status, 101);
    const socket = response.webSocket;
    assert.ok(socket);
    const received: unknown[] = [];
    const both = new Promise<void>((resolve) => {
      socket.addEventListener("message", ({ data }) => {
        received.push(data);
        if (received.length === 2) resolve();
      });
    });
    socket.binaryType = "arraybuffer";
    socket.accept();
    socket.send("text");
    socket.send(new Uint8Array([1, 2, 3]));
    await both;
    socket.close(1000, "done");
    assert.equal(received[0], "text");
    assert.ok(received[1] instanceof ArrayBuffer);
    assert.deepEqual([...new Uint8Array(received[1])], [1, 2, 3]);
  },

  "a request of the container goes to the handler of its host, and to no other": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    value(await booted.control.bundle(10_000));
    const [request] = harness.sink.requests;
    assert.deepEqual(request, { method: "PUT", target: "/.bundle/staging.tar", accessKey: booted.accessKeyId });
  },

  "without a handler a host does not exist for the container": async (harness) => {
    const env = { BOILERHOUSE_START: "on-claim", BOILERHOUSE_STATE_DIR: STATE_DIR };
    const booted = await boot(harness, env);
    await claimFresh(booted);
    assert.equal((await booted.control.bundle(10_000)).ok, false);
    assert.equal(harness.sink.requests.length, 0);
  },

  "a crashed workload comes back, and the container stays": async (harness) => {
    const { control } = await boot(harness);
    await ready(harness.runtime);
    const crash = await harness.runtime.fetch(PORT, new Request("http://container/crash", { method: "POST" }));
    assert.equal(crash.status, 202);
    await crash.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await ready(harness.runtime);
    const after = value(await control.status());
    assert.deepEqual(after, { workload: "running", restarts: 1, lastExitCode: 1 });
  },
};
