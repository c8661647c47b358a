import type { Failure } from "../outcome.ts";
import type { TenantRecord } from "./record.ts";
import type { Route } from "./types.ts";

/** Where a request goes in this state; `pending` when an operation has to end (or a wake to begin) first. Pure. */
export function routeOf(record: TenantRecord): Route | "pending" {
  switch (record.state) {
    case "active":
      if (record.held) {
        const { containerId, epoch, port } = record.held;
        return { kind: "ready", containerId, epoch, port };
      }
      return "pending";
    case "asleep":
    case "claiming":
    case "waking":
    case "recovering":
    case "saving":
    case "sleeping":
      return "pending";
    case "idle":
    case "releasing":
    case "destroying":
    case "destroyed":
      return {
        kind: "failed",
        failure: { code: "not_found", detail: `The tenant is ${record.state}; claim it first.` },
      };
    case "suspended":
      return { kind: "failed", failure: { code: "suspended", detail: "The tenant is suspended." } };
    case "release_failed":
    case "error": {
      const [latest] = record.errors;
      const failure: Failure = {
        code: "container_unavailable",
        detail: `The tenant is in state ${record.state}: ${latest?.detail ?? "no detail"}`,
      };
      return { kind: "failed", failure };
    }
  }
}
