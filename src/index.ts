import { app } from "./app.ts";
import { configOf } from "./config.ts";
import { settled } from "./proxy/domain.ts";
import { proxy } from "./proxy/proxy.ts";
import { type SettledTarget, targetOf } from "./proxy/target.ts";
import { DAILY, sweepDaily } from "./sweep/daily.ts";
import { probeAll } from "./sync/probes.ts";

export { Fleet } from "./fleet/object.ts";
export { ControlGateway } from "./gateway/control/entrypoint.ts";
export { StorageGateway } from "./gateway/storage/entrypoint.ts";
export { Instance } from "./instance/object.ts";
export { Limiter } from "./limits/object.ts";
export { Pool } from "./pool/object.ts";
export { Tenant } from "./tenant/object.ts";
export { Vault } from "./vault/object.ts";

export default {
  /** Tenants' traffic takes the short way past the API's middleware. */
  fetch(request, env, ctx) {
    const url = new URL(request.url);
    const target = targetOf(url, configOf(env));
    if (target.kind !== "elsewhere") return serve(request, url, target, env, ctx);
    return settled(target, env.DB, Date.now()).then((known) => serve(request, url, known, env, ctx));
  },
  scheduled(controller, env, ctx) {
    const { cron, scheduledTime: now } = controller;
    ctx.waitUntil(sweepDaily(env, now, cron === DAILY ? "begin" : "go on"));
    if (cron !== DAILY) ctx.waitUntil(probeAll(env, now));
  },
} satisfies ExportedHandler<Env>;

const serve = (request: Request, url: URL, target: SettledTarget, env: Env, ctx: ExecutionContext) =>
  target.kind === "platform" ? app.fetch(request, env, ctx) : proxy(request, url, target, env, ctx);
