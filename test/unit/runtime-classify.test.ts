import { describe, expect, it, test } from "vitest";
import { classify, isPermanent, runtimeError } from "../../src/runtime/classify.ts";
import { failedBy } from "../../src/runtime/failure.ts";
import { RuntimeError, type RuntimeErrorCode } from "../../src/runtime/port.ts";

describe("a sentence of the platform", () => {
  test.each<[string, RuntimeErrorCode]>([
    ["there is no Container instance that can be provided to this Durable Object, try again later.", "capacity"],
    ["Maximum number of running container instances exceeded.", "capacity"],
    ["you are requesting too many Containers per second", "rate_limited"],
    ["start() cannot be called on a container that is already running.", "already_running"],
    ["the container is not listening in the TCP address 10.0.0.1:8080", "not_listening"],
    ["Container is not listening to port 8080", "not_listening"],
    ["connect(): Connection refused: container port not found.", "not_listening"],
    ["The container is not running, consider calling start()", "not_running"],
    ["exec() cannot be called on a container that is not running.", "not_running"],
    ["exec() requires a running container.", "not_running"],
    ["connect(): Container ingress proxy is not running.", "not_running"],
    ["No such image available named x", "unknown_image"],
    ["Create container failed with [500] no space left", "start_failed"],
    ["Starting network sidecar container failed with: 1", "start_failed"],
    ["Network connection lost.", "lost"],
    ["There is no Container instance available at this time.", "capacity"],
    ["instanceGetTimeout", "capacity"],
    ["gave up: instanceGetTimeoutMS of 8000 is over", "capacity"],
    ["portReadyTimeout", "not_listening"],
    ["connect ECONNREFUSED: Connection refused", "not_listening"],
    ["the container is not ready", "not_listening"],
    ["sandbox_not_found", "not_running"],
    ["The sandbox is hibernating", "not_running"],
    ["Monitoring container failed with: 404 No such container: x", "not_running"],
    ["Container exited before we could determine the container health, exit code: 1", "start_failed"],
    ["Container crashed while checking for ports, did you start the container", "start_failed"],
    ["Container did not start after 8000 ms", "start_failed"],
    ["Invalid container instance type.", "bad_start"],
    ["Container image reference cannot be empty.", "bad_start"],
    ["The operation timed out", "timeout"],
    ["Durable Object reset because its code was updated.", "lost"],
    ["something that nobody has seen yet", "lost"],
  ])("%s → %s", (sentence, code) => {
    expect(classify(new Error(sentence))).toBe(code);
    expect(classify(new Error(sentence.toUpperCase()))).toBe(code);
  });
});

it("takes an aborted call for one whose time was over", () => {
  expect(classify(AbortSignal.abort().reason)).toBe("timeout");
});

it("keeps an error of the port as it is", () => {
  const error = new RuntimeError("capacity", "full");
  expect(runtimeError(error)).toBe(error);
});

it("says what an unknown sentence means in a call that says so", () => {
  expect(runtimeError("what?", "start_failed").code).toBe("start_failed");
  expect(runtimeError("no such image", "start_failed").code).toBe("unknown_image");
});

it("promises that nothing happened only where that is certain", () => {
  const codeFor = (code: RuntimeErrorCode) => failedBy(new RuntimeError(code, "x"), "probe").failure.code;
  expect([codeFor("not_running"), codeFor("not_listening")]).toEqual([
    "container_unavailable",
    "container_unavailable",
  ]);
  expect([codeFor("lost"), codeFor("timeout")]).toEqual(["operation_interrupted", "deadline_exceeded"]);
});

test.each<[object, RuntimeErrorCode]>([
  [{ code: "ECONNREFUSED" }, "not_listening"],
  [{ code: "ETIMEDOUT" }, "timeout"],
  [{ code: "SANDBOX_NOT_FOUND" }, "not_running"],
  [{ code: "instanceGetTimeout" }, "capacity"],
  [{ code: "portReadyTimeout" }, "not_listening"],
  [{ name: "TimeoutError" }, "timeout"],
  [{ code: "constructor" }, "lost"],
  [{ code: 7 }, "lost"],
])("an error with %j counts by that, whatever it says", (members, code) => {
  expect(classify(Object.assign(new Error("Network connection lost."), members))).toBe(code);
});

test.each<[RuntimeErrorCode, boolean]>([
  ["unknown_image", true],
  ["bad_start", true],
  ["capacity", false],
  ["rate_limited", false],
  ["start_failed", false],
  ["not_listening", false],
  ["not_running", false],
  ["already_running", false],
  ["timeout", false],
  ["lost", false],
])("that %s cannot be mended by trying again: %s", (code, permanent) => {
  expect(isPermanent(code)).toBe(permanent);
  const { extra } = failedBy(new RuntimeError(code, "x"), "start").failure;
  expect(extra).toEqual({ runtime: code, ...(permanent ? { permanent: true } : {}) });
});
