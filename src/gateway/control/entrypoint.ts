import { WorkerEntrypoint } from "cloudflare:workers";
import { timingSafeEqual } from "node:crypto";
import { z } from "zod";
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

/** For the answer of an Instance that is there. */
const REPORT_MS = 10_000;
const MAX_REPORT_BYTES = 1_024;

const workloadExit = z.strictObject({
  exitCode: z.int().min(0).max(255),
  restarts: z.int().min(0).max(1_000_000_000),
  restarting: z.boolean(),
  oom: z.boolean().nullable(),
});

/** What a container reaches as `http://control.internal` (docs/container.md): what its root has to say to its Instance. */
export class ControlGateway extends WorkerEntrypoint<Env, ControlProps> {
  override async fetch(request: Request): Promise<Response> {
    if (!opens(request.headers.get("authorization"), this.ctx.props.bootKeyHash)) return problem(401, "unauthorized");
    const { pathname } = new URL(request.url);
    if (pathname !== "/drain" && pathname !== "/exit") return problem(404, "not_found");
    if (request.method !== "POST") return problem(405, "method_not_allowed");
    try {
      return pathname === "/drain" ? await this.#drain() : await this.#exit(request);
    } catch (error) {
      const { containerId } = this.ctx.props;
      log.warn("control: no answer was found", { containerId, pathname, error: messageOf(error) });
      return problem(503, "try_again");
    }
  }

  async #drain(): Promise<Response> {
    const instance = instanceOf(this.env, this.ctx.props.containerId);
    const { done } = await within(WAIT_MS + GRACE_MS, "drain", instance.drain(WAIT_MS));
    return Response.json({ done }, { status: done ? 200 : 202 });
  }

  async #exit(request: Request): Promise<Response> {
    const report = workloadExit.safeParse(await json(request));
    if (!report.success) return problem(422, "bad_report");
    const instance = instanceOf(this.env, this.ctx.props.containerId);
    const heard = await within(REPORT_MS, "exit", instance.workloadExited(report.data));
    return heard ? Response.json({ noted: true }) : problem(429, "too_many");
  }
}

/** Null for what is not JSON, or too long to be a report. */
async function json(request: Request): Promise<unknown> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!(length <= MAX_REPORT_BYTES)) return null;
  try {
    return JSON.parse(await request.text());
  } catch {
    return null;
  }
}

const problem = (status: number, error: string): Response => Response.json({ error }, { status });

function opens(authorization: string | null, bootKeyHash: string): boolean {
  const [, key] = /^Bearer (.+)$/.exec(authorization ?? "") ?? [];
  return key !== undefined && timingSafeEqual(Buffer.from(sha256(key)), Buffer.from(bootKeyHash));
}
