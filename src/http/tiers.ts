import { z } from "@hono/zod-openapi";
import { configOf } from "../config.ts";
import { monthlyCostUsd, SIZES } from "../pool/prices.ts";
import { TIERS, type Tier } from "../runtime/port.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";

const tierView = z
  .object({
    tier: z.enum(TIERS),
    vcpu: z.number(),
    memoryGiB: z.number(),
    diskGB: z.number(),
    useCase: z.string(),
    cap: z.int().openapi({ description: "Most containers of this tier at a time." }),
    monthlyCostUsd: z
      .object({ alwaysOn: z.number(), fourHoursADay: z.number() })
      .openapi({ description: "Memory and disk of one container; CPU is billed as it is used." }),
  })
  .openapi("Tier");

const USE_CASES: Readonly<Record<Tier, string>> = {
  lite: "Light services and assistants that mostly wait",
  basic: "Assistants with a few tools, small web applications",
  "standard-1": "Workspaces and notebooks for one person",
  "standard-2": "Builds, browsers, larger notebooks",
  "standard-3": "Heavy builds, data in memory",
  "standard-4": "The largest there is",
};

const list = guarded("registry:read", {
  method: "get",
  path: "/api/v1/tiers",
  operationId: "listTiers",
  summary: "Instance sizes, what they are good for and what they cost",
  tags: ["registry"],
  responses: { 200: json(z.object({ items: z.array(tierView), nextCursor: z.null() }), "All"), ...refusals },
});

export const tiers = resource().openapi(list, (c) => {
  const { tierCaps } = configOf(c.env);
  const items = TIERS.map((tier) => {
    const alwaysOn = monthlyCostUsd(tier, 1);
    const fourHoursADay = Math.round((alwaysOn / 6) * 100) / 100;
    return {
      tier,
      ...SIZES[tier],
      useCase: USE_CASES[tier],
      cap: tierCaps[tier],
      monthlyCostUsd: { alwaysOn, fourHoursADay },
    };
  });
  return c.json({ items, nextCursor: null }, 200);
});
