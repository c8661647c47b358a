import type { InstanceState } from "./types.ts";

/** What can happen to an Instance; one container, one life, at most one tenant (P-ONE). */
export type InstanceTransition =
  | "booted"
  | "assign"
  | "assigned"
  | "quiesce"
  | "reopen" // a release that was called off, or a failed save that is tried again
  | "retire"
  | "ended"
  | "failed";

const table: { readonly [State in InstanceState]: { readonly [T in InstanceTransition]?: InstanceState } } = {
  starting: { booted: "warm", failed: "failed", retire: "draining", ended: "gone" },
  warm: { assign: "assigning", retire: "draining", ended: "gone" },
  assigning: { assigned: "assigned", failed: "failed", retire: "draining", ended: "gone" },
  assigned: { quiesce: "saving", retire: "draining", ended: "gone" },
  saving: { reopen: "assigned", quiesce: "saving", retire: "draining", ended: "gone" },
  draining: { retire: "draining", ended: "gone" },
  gone: { retire: "gone", ended: "gone" },
  failed: { retire: "draining", ended: "gone" },
};

/** The state after an event; null where the event is illegal. Total. */
export const after = (state: InstanceState, event: InstanceTransition): InstanceState | null =>
  table[state][event] ?? null;
