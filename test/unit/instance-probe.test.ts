import { describe, expect, it } from "vitest";
import { Inside } from "../../src/instance/inside.ts";
import { has, probeWorkload } from "../../src/instance/probe.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import { type Workload, workloadSchema } from "../../src/registry/specs.ts";
import { type ContainerRuntime, RuntimeError } from "../../src/runtime/port.ts";

type Check = Partial<Workload["healthCheck"]>;

/** What the health check of a workload comes to, whose port or command answers so. */
function probe(runtime: Partial<ContainerRuntime>, healthCheck: Check = {}, more: object = {}) {
  const workload = workloadSchema.parse({ id: "sandbox", image: "sandbox", healthCheck, ...more });
  return probeWorkload(new Inside(runtime as ContainerRuntime, { plan: { workload } } as unknown as BootRecord));
}
const answering = (body: BodyInit | null, status = 200) => ({ fetch: async () => new Response(body, { status }) });
const failing = (error: Error) => ({ fetch: () => Promise.reject(error) });
const http = { http: { path: "/healthz" } };

describe("a health check", () => {
  it("that names nothing takes any answer, also an error", async () => {
    expect(await probe(answering("no", 500))).toEqual({ kind: "healthy" });
  });

  it("by a request wants an answer below 400, and where the workload's readiness names one, that JSON", async () => {
    expect(await probe(answering("fine", 302), http)).toEqual({ kind: "healthy" });
    expect(await probe(answering("no", 503), http)).toMatchObject({
      cause: "unhealthy",
      detail: "/healthz answered 503.",
    });
    const readiness = { readiness: { path: "/ready", expectJson: { ok: true } } };
    expect(await probe(answering('{"ok":true,"more":1}'), {}, readiness)).toEqual({ kind: "healthy" });
    expect(await probe(answering('{"ok":false}'), {}, readiness)).toMatchObject({ cause: "unhealthy" });
    expect(await probe(answering("{"), {}, readiness)).toMatchObject({ cause: "unhealthy" });
  });

  it("by a command is healthy when that ends with 0", async () => {
    const ending = (exitCode: number) => ({
      exec: async () => ({ exitCode, stdout: new Uint8Array(), stderr: new Uint8Array() }),
    });
    expect(await probe(ending(0), { command: ["true"] })).toEqual({ kind: "healthy" });
    expect(await probe(ending(3), { command: ["false"] })).toMatchObject({
      cause: "unhealthy",
      detail: "The health check ended with 3.",
    });
  });

  it("tells a workload that refuses from one that hangs", async () => {
    expect(await probe(failing(new RuntimeError("not_listening", "refused")))).toMatchObject({ cause: "unhealthy" });
    expect(await probe(failing(new RuntimeError("timeout", "late")))).toMatchObject({ cause: "hung" });
  });

  it("does not read an answer that goes on for ever", async () => {
    let sent = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        sent += 1;
        controller.enqueue(new Uint8Array(16_384).fill(32));
      },
    });
    const readiness = { readiness: { path: "/", expectJson: { ok: true } } };
    expect(await probe(answering(endless), {}, readiness)).toMatchObject({ kind: "failed" });
    expect(sent).toBeLessThan(10);
  });
});

describe("an expected answer", () => {
  it.each([
    ['{"a":{"b":[1,2]}}', true],
    ['{"a":{"b":[1,2],"c":0}}', false],
    ['{"a":{"b":[2,1]}}', false],
    ['{"a":{"b":{"0":1,"1":2}}}', false],
    ['{"a":null}', false],
    ['[{"a":1}]', false],
    ["null", false],
  ])("is compared member by member: %s", (text, equal) => {
    expect(has(text, { a: { b: [1, 2] } })).toBe(equal);
  });
});
