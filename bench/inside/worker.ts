import type { Admission } from "../../src/fleet/types.ts";
import product, { Fleet as ProductFleet, StorageGateway as ProductGateway } from "../../src/index.ts";
import { type Drive, drive } from "./drive.ts";
import { type Multiply, multiply } from "./multiply.ts";

/**
 * The product as it ships, with what only benches need: it counts and delays what reaches the storage gateway, drives claims from
 * inside workerd, where no HTTP connection is measured with them, and fills the registry with thousands of rows at once.
 */
export * from "../../src/index.ts";

let storageRequests = 0;
/** Every request that leaves a container for storage waits this long first, as if storage were further away. */
let storageDelayMs = 0;

export class StorageGateway extends ProductGateway {
  override async fetch(request: Request): Promise<Response> {
    storageRequests += 1;
    if (storageDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, storageDelayMs));
    return super.fetch(request);
  }
}

/** Starts are not what is measured on simulated containers: filling hundreds of slots at ten a second would take minutes. */
export class Fleet extends ProductFleet {
  override async admit(): Promise<Admission> {
    return { admitted: true };
  }
}

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/bench/storage-requests") return Response.json({ storageRequests });
    if (pathname === "/bench/storage-delay") {
      storageDelayMs = ((await request.json()) as { ms: number }).ms;
      return Response.json({ storageDelayMs });
    }
    if (pathname === "/bench/multiply") return multiply(env.DB, (await request.json()) as Multiply);
    if (pathname === "/bench/drive") {
      const call = (inner: Request) => product.fetch(inner as typeof request, env, ctx);
      return Response.json(await drive((await request.json()) as Drive, request.headers, call));
    }
    return product.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
