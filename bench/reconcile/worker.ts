import product from "../../src/index.ts";
import { type Burst, burst } from "./claims.ts";

/** The product as it ships, its limits of starts included, and claims that all come at once, driven from inside workerd. */
export * from "../../src/index.ts";

export default {
  async fetch(request, env, ctx): Promise<Response> {
    if (new URL(request.url).pathname !== "/bench/burst") return product.fetch(request, env, ctx);
    const call = (inner: Request) => product.fetch(inner as typeof request, env, ctx);
    return Response.json(await burst((await request.json()) as Burst, request.headers, call));
  },
} satisfies ExportedHandler<Env>;
