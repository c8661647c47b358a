import { configOf } from "../config.ts";
import { Problem } from "../errors/problem.ts";
import { isAdmin } from "./admin.ts";
import type { Principal } from "./principal.ts";

/** Who asks. `background` keeps the Worker alive for work that the answer does not wait for. @throws Problem `unauthenticated` */
export async function authenticate(
  request: Request,
  env: Env,
  _background: (work: Promise<unknown>) => void,
): Promise<Principal> {
  if (!isAdmin(configOf(env), request.headers.get("authorization"))) {
    throw new Problem("unauthenticated", "This needs a key.");
  }
  return {
    role: "admin",
    actor: "admin-key",
    tenantId: null,
    presented: "explicit",
    requestsPerMinute: null,
    expiresAt: null,
  };
}
