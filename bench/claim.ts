import { controlPlane } from "./claim/control-plane.ts";
import { claimOverHttp } from "./claim/over-http.ts";
import { refillByFive } from "./claim/refill.ts";
import type { Counts } from "./harness/counts.ts";
import type { Result } from "./harness/result.ts";
import { product, stopStacks } from "./harness/stacks.ts";
import { Api } from "./harness/tenants.ts";

/** Claims: over HTTP on real containers, and the control plane's share on simulated ones. */
export async function claim(counts: Counts): Promise<Result[]> {
  const stack = await product();
  const api = new Api(stack);
  const overHttp = await claimOverHttp(api, counts);
  const refill = await refillByFive(api, counts);
  api.client.close();
  await stopStacks();
  return [...overHttp, refill, ...(await controlPlane(counts))];
}
