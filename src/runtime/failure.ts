import type { ErrorCode } from "../errors/codes.ts";
import { failed } from "../outcome.ts";
import { isPermanent, runtimeError } from "./classify.ts";
import type { RuntimeErrorCode } from "./port.ts";

/** `container_unavailable` promises that nothing happened, `operation_interrupted` that nobody knows. */
const CODES: Readonly<Record<RuntimeErrorCode, ErrorCode>> = {
  not_running: "container_unavailable",
  not_listening: "container_unavailable",
  already_running: "internal",
  unknown_image: "start_failed",
  capacity: "capacity_exhausted",
  rate_limited: "capacity_exhausted",
  start_failed: "start_failed",
  bad_start: "start_failed",
  timeout: "deadline_exceeded",
  lost: "operation_interrupted",
};

/** An error of a runtime as the failure of an operation. `extra.permanent`: trying again cannot mend it. */
export function failedBy(error: unknown, what: string): ReturnType<typeof failed> {
  const cause = runtimeError(error);
  const extra = { runtime: cause.code, ...(isPermanent(cause.code) ? { permanent: true } : {}) };
  return failed(CODES[cause.code], `${what}: ${cause.message}`, { extra });
}
