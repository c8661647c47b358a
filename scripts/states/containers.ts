import { commandsRefused } from "../../src/instance/exec.ts";
import type { InstanceState } from "../../src/instance/types.ts";
import { removed } from "../../src/pool/administer.ts";
import type { Slot } from "../../src/pool/record.ts";
import { answered, problem } from "./answer.ts";
import { BY, leased, NOW, record, slot } from "./pools.ts";
import { type Call, tableOf } from "./table.ts";

/** Containers to ask things of: each is a place in its pool and, where it runs, an Instance in some state. test/support/pool-standings.ts makes real ones. */

/** Null for one that there never was, or that is gone. */
export type ContainerStanding = { slot: Slot; state: InstanceState; ends?: false } | null;

const standings = {
  "never there": null,
  starting: { slot: slot({ state: "starting" }), state: "starting" },
  warm: { slot: slot({}), state: "warm" },
  assigned: { slot: leased, state: "assigned" },
  saving: { slot: leased, state: "saving" },
  /** Its engine does not end it. */
  draining: { slot: slot({ state: "draining" }), state: "draining", ends: false },
  gone: null,
} satisfies Record<string, ContainerStanding>;
export type ContainerStandingName = keyof typeof standings;

const C = "/api/v1/containers/{id}";

const ended =
  (claimed: "refuse" | "give-up"): Call<ContainerStanding>["decide"] =>
  (container) => {
    if (!container) return problem("not_found");
    const removal = removed(record, container.slot, claimed, BY, NOW);
    if (!removal.ok) return problem(removal.failure.code);
    return answered(container.ends === false ? 202 : 200);
  };

const CALLS: readonly Call<ContainerStanding>[] = [
  { operation: `GET ${C}`, decide: (container) => (container ? answered(200) : problem("not_found")) },
  {
    operation: `POST ${C}/exec`,
    body: { command: ["true"] },
    decide: (container) => {
      if (!container) return problem("not_found");
      const refusal = commandsRefused(container.state);
      return refusal ? problem(refusal.code) : answered(200);
    },
  },
  { operation: `DELETE ${C}`, decide: ended("refuse") },
  { operation: `DELETE ${C}`, with: "force", query: "force=true", decide: ended("give-up") },
];

export const containers = tableOf(
  C,
  Object.entries(standings).map(([name, standing]) => ({ name: name as ContainerStandingName, standing })),
  CALLS,
);
