import { expect } from "vitest";
import type { Stack } from "../../scripts/stack/stack.ts";
import { type Answer, type SendOptions, Socket, send } from "./e2e-http.ts";

/** The API of a stack and its tenants' addresses, as the admin uses them. */
export class Client {
  readonly port: number;
  readonly adminKey: string;

  constructor(stack: Pick<Stack, "port" | "adminKey">) {
    this.port = stack.port;
    this.adminKey = stack.adminKey;
  }

  /** A request with the admin key. */
  send(method: string, path: string, options: SendOptions = {}): Promise<Answer> {
    const headers = { authorization: `Bearer ${this.adminKey}`, ...options.headers };
    return send(this.port, method, path, { ...options, headers });
  }

  /** A request to the API; a body is sent as JSON. */
  api(method: string, path: string, body?: unknown): Promise<Answer> {
    const json =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    return this.send(method, `/api/v1${path}`, json);
  }

  claim(tenant: string, body: object = {}, wait = "60s"): Promise<Answer> {
    return this.api("POST", `/tenants/${encodeURIComponent(tenant)}/claim?wait=${wait}`, body);
  }

  release(tenant: string, body: object = {}, wait = "60s"): Promise<Answer> {
    return this.api("POST", `/tenants/${encodeURIComponent(tenant)}/release?wait=${wait}`, body);
  }

  status(tenant: string): Promise<Answer> {
    return this.api("GET", `/tenants/${encodeURIComponent(tenant)}/status`);
  }

  /** A request to the tenant's container, by its path under the shared origin. */
  at(tenant: string, method: string, path: string, options: SendOptions = {}): Promise<Answer> {
    return this.send(method, `/t/${encodeURIComponent(tenant)}${path}`, options);
  }

  /** The same by the tenant's own host; `label` is its first label. */
  atHost(label: string, method: string, path: string, options: SendOptions = {}): Promise<Answer> {
    const headers = { host: `${label}.localhost:${this.port}`, ...options.headers };
    return this.send(method, path, { ...options, headers });
  }

  get(tenant: string, path: string): Promise<Answer> {
    return this.at(tenant, "GET", `/files/${path}`);
  }

  async put(tenant: string, path: string, content: string | Buffer): Promise<void> {
    const answer = await this.at(tenant, "PUT", `/files/${path}`, { body: content });
    expect(answer.status, `PUT ${path} of ${tenant}: ${answer.text.slice(0, 500)}`).toBe(201);
  }

  socket(tenant: string, path = "/echo"): Promise<Socket> {
    return Socket.open(this.port, `/t/${encodeURIComponent(tenant)}${path}`, this.#bearer());
  }

  socketAtHost(label: string, path = "/echo"): Promise<Socket> {
    return Socket.open(this.port, path, { ...this.#bearer(), host: `${label}.localhost:${this.port}` });
  }

  #bearer = () => ({ authorization: `Bearer ${this.adminKey}` });

  /** Registers a workload, unless there is one with its id. */
  async workload(spec: { id: string; [field: string]: unknown }): Promise<void> {
    const answer = await this.api("POST", "/workloads", { ...SANDBOX, ...spec });
    expect([201, 409], answer.text).toContain(answer.status);
  }

  /** Creates a pool, unless there is one with its id, and waits until it is warm. */
  async pool(spec: { id: string; [field: string]: unknown }): Promise<string> {
    const answer = await this.api("POST", "/pools", {
      workloadId: "sandbox",
      maxSize: 30,
      idleTimeoutMs: 600_000,
      ...spec,
    });
    expect([201, 409], answer.text).toContain(answer.status);
    await eventually(async () => {
      const { body } = await this.api("GET", `/pools/${spec.id}`);
      expect(body.warm, `pool ${spec.id}: ${JSON.stringify(body)}`).toBeGreaterThanOrEqual(body.minSize);
    }, 60_000);
    return spec.id;
  }

  /** Claims, and answers with what the claim said; anything but 200 and 201 fails the test. */
  async claimed(tenant: string, body: object = {}): Promise<ClaimBody> {
    const answer = await this.claim(tenant, body);
    expect([200, 201], `claim of ${tenant}: ${answer.text}`).toContain(answer.status);
    return answer.body;
  }

  /** Releases with a save, and answers with what was saved. */
  async released(
    tenant: string,
    body: object = {},
  ): Promise<{ generation: number; files: number; bytes: number; changed: number }> {
    const answer = await this.release(tenant, body);
    expect(answer.status, `release of ${tenant}: ${answer.text}`).toBe(200);
    expect(answer.body).toMatchObject({ state: "idle" });
    return answer.body.saved;
  }

  /** Gives up containers that a test no longer needs. */
  async discard(...tenants: string[]): Promise<void> {
    for (const tenant of tenants) await this.release(tenant, { sync: false });
  }
}

export interface ClaimBody {
  tenantId: string;
  containerId: string;
  poolId: string;
  state: string;
  launch: "existing" | "warm" | "cold";
  reason?: string;
  epoch: number;
  endpoints: { http: string; ws: string };
  restored: null | { generation: number; files: number; bytes: number };
  timings: Record<string, number>;
}

/** What the tests' workloads have in common. */
export const SANDBOX = {
  image: "sandbox",
  port: 8080,
  volumes: { state: { containerPath: "/data" } },
  readiness: { path: "/healthz" },
};

/** Checks again and again until it holds, or throws what the last check threw. */
export async function eventually<T>(check: () => Promise<T>, withinMs = 15_000, everyMs = 100): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (problem) {
      if (Date.now() > deadline) throw problem;
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }
}
