import { z } from "@hono/zod-openapi";
import { listPools } from "../registry/store.ts";
import { TIERS } from "../runtime/port.ts";
import { CONTENT_TYPE, exposition } from "../stats/exposition.ts";
import { metricsOf } from "../stats/metrics.ts";
import { readStats } from "../stats/stats.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { liveViews } from "./pool-live.ts";

/** Pools that a scrape asks for their own counts; the rest are in the counts of D1 only. */
const POOLS = 200;
/** However often it is scraped, an isolate asks this seldom. */
const CACHED_MS = 10_000;

const statsView = z
  .object({
    pools: z.int(),
    containers: z.object({
      used: z.int().openapi({ description: "Those that serve a tenant." }),
      total: z.int().openapi({ description: "Warm, starting and serving." }),
    }),
    tenantsActive: z.int(),
    tenants: z.record(z.string(), z.int()).openapi({ description: "By state." }),
    sync: z.object({
      ok: z.int().openapi({ description: "Tenants whose state is saved, or in a container that will save it." }),
      warn: z.int().openapi({ description: "Tenants that lost changes with their container." }),
      errors: z.int().openapi({ description: "Tenants whose save failed." }),
    }),
    capacity: z.record(
      z.enum(TIERS),
      z.object({
        running: z.int().nullable().openapi({ description: "Containers that run or start." }),
        cap: z.int(),
        leased: z.int().openapi({ description: "Those that serve a tenant." }),
        waiting: z.int().nullable().openapi({ description: "Starts that wait for their turn." }),
      }),
    ),
  })
  .openapi("Stats");

const stats = <Path extends string>(path: Path, operationId: string) =>
  guarded("stats:read", {
    method: "get",
    path,
    operationId,
    summary: "Pools, containers, tenants, saves and capacity in numbers",
    tags: ["platform"],
    responses: { 200: json(statsView, "As of about a second ago"), ...refusals },
  });
const atApi = stats("/api/v1/stats", "getStats");
const atRoot = stats("/stats", "getStatsAtRoot");

const metrics = guarded("stats:read", {
  method: "get",
  path: "/metrics",
  summary: "The same for Prometheus, at most 10 s old",
  tags: ["platform"],
  responses: {
    200: { description: "Text exposition", content: { "text/plain": { schema: z.string() } } },
    ...refusals,
  },
});

export const statistics = resource()
  .openapi(atApi, async (c) => c.json((await readStats(c.env)).stats, 200))
  .openapi(atRoot, async (c) => c.json((await readStats(c.env)).stats, 200))
  .openapi(metrics, async (c) => c.text(await scraped(c.env, Date.now()), 200, { "content-type": CONTENT_TYPE }));

/** The text, not a promise of it: an answer belongs to the request that asked for it. */
let latest: { text: string; at: number } | null = null;

async function scraped(env: Env, now: number): Promise<string> {
  if (latest && now - latest.at < CACHED_MS) return latest.text;
  const text = await scrape(env);
  latest = { text, at: now };
  return text;
}

async function scrape(env: Env): Promise<string> {
  const [{ stats, containers }, { items }] = await Promise.all([readStats(env), listPools(env.DB, "", POOLS)]);
  const pools = await liveViews(env, items);
  return exposition(
    metricsOf(
      stats,
      containers,
      pools.filter((pool) => pool.workloadVersion > 0),
    ),
  );
}
