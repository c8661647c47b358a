import { those, type Violation, violation } from "./violation.ts";

/** Rules about what clients are told. Pure. */

export interface Answered {
  /** `POST /api/v1/…` */
  asked: string;
  status: number;
  code: string | null;
}

/** A 500 says that nobody thought of it; what is not found, busy or full has a code of its own. */
export function answered({ asked, status, code }: Answered): Violation[] {
  return those(
    status === 500 && violation("answers", `${asked} was answered 500 ${code ?? ""}`),
    status >= 400 &&
      code === null &&
      asked.includes("/api/") &&
      violation("answers", `${asked} was answered ${status} without a code`),
  );
}

/** I7: what a destruction may be answered with. Of a tenant that is not there: 404. */
const DESTROY: ReadonlySet<number> = new Set([200, 202, 204, 404]);
/** What says nothing about the destruction: too many requests, or the platform is down. */
const NO_ANSWER: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export function destroyed({ asked, status, code }: Answered, state: string | null): Violation[] {
  if (DESTROY.has(status) || NO_ANSWER.has(status)) return [];
  // One that ended otherwise than by its end (called off, overdue) says so by its own code.
  if (code === "operation_interrupted" || code === "deadline_exceeded") return [];
  return [violation("destroy", `${asked} of a tenant that is ${state} was answered ${status} ${code ?? ""}`)];
}

/** P-NOWAKE: of a tenant that sleeps and of which nothing else was asked. */
export function untouched(what: string, before: string | null, after: string | null): Violation[] {
  return those(before !== after && violation("reads", `${what} made ${before} ${after}`));
}
