import { WorkerEntrypoint } from "cloudflare:workers";
import { timingSafeEqual } from "node:crypto";
import { messageOf, within } from "../../durable/deadline.ts";
import { instanceOf } from "../../durable/stubs.ts";
import type { ContainerId } from "../../ids.ts";
import { log } from "../../log.ts";
import { sha256 } from "../../sha256.ts";

/** What the gateway knows about a request: from the intercept's registration, never from the request. */
export interface ControlProps {
  containerId: ContainerId;
  /** SHA-256 of the boot key, which only the container's root has. */
  bootKeyHash: string;
}

/** Below the patience of whoever asks (containers/base, drain). */
const WAIT_MS = 45_000;
const GRACE_MS = 10_000;

/** What a container reaches as `http://control.internal` (docs/container.md): what its root has to say to its Instance. */
export class ControlGateway extends WorkerEntrypoint<Env, ControlProps> {
  override async fetch(request: Request): Promise<Response> {
    const { containerId, bootKeyHash } = this.ctx.props;
    if (!opens(request.headers.get("authorization"), bootKeyHash)) return problem(401, "unauthorized");
    if (new URL(request.url).pathname !== "/drain") return problem(404, "not_found");
    if (request.method !== "POST") return problem(405, "method_not_allowed");
    try {
      const { done } = await within(WAIT_MS + GRACE_MS, "drain", instanceOf(this.env, containerId).drain(WAIT_MS));
      return Response.json({ done }, { status: done ? 200 : 202 });
    } catch (error) {
      log.warn("control: a drain found no answer", { containerId, error: messageOf(error) });
      return problem(503, "try_again");
    }
  }
}

const problem = (status: number, error: string): Response => Response.json({ error }, { status });

function opens(authorization: string | null, bootKeyHash: string): boolean {
  const [, key] = /^Bearer (.+)$/.exec(authorization ?? "") ?? [];
  return key !== undefined && timingSafeEqual(Buffer.from(sha256(key)), Buffer.from(bootKeyHash));
}
