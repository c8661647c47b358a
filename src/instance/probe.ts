import { messageOf } from "../durable/deadline.ts";
import { Capture } from "../runtime/capture.ts";
import { withDeadline } from "../runtime/deadline.ts";
import { RuntimeError } from "../runtime/port.ts";
import { bytesWithin } from "./bounded.ts";
import type { Probe } from "./health.ts";
import type { Inside } from "./inside.ts";

/** What a healthy answer is (contract: Workload). Without a path: any answer at all. */
export interface Expected {
  path: string;
  expectJson?: Record<string, unknown> | undefined;
}

/** Longest answer that is looked into. */
const MAX_ANSWER_BYTES = 65_536;

/** One HTTP request to the workload's port. Null when the answer is as expected, else what was wrong with it. @throws RuntimeError without one */
export async function askWorkload({ runtime, boot }: Inside, expected: Expected | undefined, timeoutMs: number) {
  return withDeadline(timeoutMs, async (signal): Promise<string | null> => {
    const request = new Request(`http://container${expected?.path ?? "/"}`, { redirect: "manual", signal });
    const response = await runtime.fetch(boot.plan.workload.port, request);
    if (!expected) {
      await response.body?.cancel();
      return null;
    }
    if (response.status >= 400 || !expected.expectJson) {
      await response.body?.cancel();
      return response.status < 400 ? null : `${expected.path} answered ${response.status}.`;
    }
    const answer = await bytesWithin(MAX_ANSWER_BYTES, response);
    const isExpected = answer !== null && has(new TextDecoder().decode(answer), expected.expectJson);
    return isExpected ? null : `${expected.path} answered something else.`;
  });
}

/** The workload's own health check: a command, a request, or else what readiness asks. Never throws. */
export async function probeWorkload(inside: Inside): Promise<Probe> {
  const { healthCheck, readiness, user } = inside.boot.plan.workload;
  const { command, http, timeoutMs } = healthCheck;
  try {
    if (command) {
      // What it prints is for nobody, and may be without end.
      const options = { timeoutMs, user: user ?? "workload", capture: new Capture(0) };
      const { exitCode } = await inside.runtime.exec(command, options);
      return exitCode === 0 ? HEALTHY : failedBy("unhealthy", `The health check ended with ${exitCode}.`);
    }
    const wrong = await askWorkload(inside, http ?? readiness, timeoutMs);
    return wrong === null ? HEALTHY : failedBy("unhealthy", wrong);
  } catch (error) {
    const isRefused = error instanceof RuntimeError && error.code === "not_listening";
    return failedBy(isRefused ? "unhealthy" : "hung", messageOf(error));
  }
}

/** For a container whose workload does not run yet: whether anything in it answers. */
export async function probeInit(inside: Inside): Promise<Probe> {
  const status = await inside.control.status(inside.boot.plan.workload.healthCheck.timeoutMs);
  return status.ok ? HEALTHY : failedBy("hung", status.failure.detail);
}

const HEALTHY: Probe = { kind: "healthy" };
const failedBy = (cause: "hung" | "unhealthy", detail: string): Probe => ({ kind: "failed", cause, detail });

/** Whether a JSON object has all these members, with equal values. */
export function has(text: string, members: Record<string, unknown>): boolean {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return false;
  }
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return false;
  const found = answer as Record<string, unknown>;
  return Object.entries(members).every(([name, value]) => Object.hasOwn(found, name) && isEqual(found[name], value));
}

function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  return names.every((name) => Object.hasOwn(right, name) && isEqual(left[name], right[name]));
}
