import { createRoute, z } from "@hono/zod-openapi";
import { type Config, configOf } from "../config.ts";
import { poolOf } from "../durable/stubs.ts";
import { log } from "../log.ts";
import { json, refusals, resource } from "./context.ts";

const health = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the Worker answers",
  tags: ["health"],
  security: [],
  responses: { 200: json(z.object({ status: z.literal("ok") }), "It does") },
});

const readiness = z
  .object({
    ready: z.boolean(),
    runtime: z.enum(["platform", "simulated"]),
    missing: z.array(z.string()).openapi({ description: "Names of what is not there: variables, `d1`, `pool:<id>`." }),
  })
  .openapi("Readiness");

const ready = createRoute({
  method: "get",
  path: "/ready",
  summary: "Whether it can do its job, and what is missing",
  tags: ["health"],
  security: [],
  responses: { 200: json(readiness, "Ready"), 503: json(readiness, "Not yet"), ...refusals },
});

export const healthRoutes = resource()
  .openapi(health, (c) => c.json({ status: "ok" as const }, 200))
  .openapi(ready, async (c) => {
    const config = configOf(c.env);
    const missing = [...config.missing, ...(await lacking(c.env, config))];
    const answer = { ready: missing.length === 0, runtime: config.runtime, missing };
    return answer.ready ? c.json(answer, 200) : c.json(answer, 503, { "retry-after": "1" });
  });

async function lacking(env: Env, config: Config): Promise<string[]> {
  const [d1, pool] = await Promise.all([
    holds(() => env.DB.prepare("SELECT 1 FROM workloads LIMIT 1").run()),
    config.demoPool === null || holds(() => isWarm(env, config.demoPool)),
  ]);
  return [...(d1 ? [] : ["d1"]), ...(pool ? [] : [`pool:${config.demoPool}`])];
}

async function isWarm(env: Env, id: Config["demoPool"]): Promise<void> {
  if (id === null) return;
  const pool = await poolOf(env, id).describe();
  if (!pool.ok) throw new Error(pool.failure.detail);
  if (pool.value.warm < pool.value.target) throw new Error("not at its target");
}

/** Whether a check passed; why it did not is in the log. */
async function holds(check: () => Promise<unknown>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    log.info("not ready", { error: String(error) });
    return false;
  }
}
