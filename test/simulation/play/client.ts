import { entryOf } from "../../../src/errors/codes.ts";
import type { Generation, TenantId } from "../../../src/ids.ts";
import type { Outcome } from "../../../src/outcome.ts";
import type { Action, Change } from "../../../src/tenant/requests.ts";
import type { Awaited } from "../../../src/tenant/types.ts";
import type { ActName, ClientEvent } from "../history/events.ts";
import type { Call, World } from "../world/types.ts";
import type { Ledger } from "./ledger.ts";
import { ONCE_HEADER, poolName, tenantName } from "./names.ts";
import type { Registry } from "./registry.ts";

/** How a call ended, as rules see it. */
export interface Ended {
  asked: string;
  tenantId: string | null;
  status: number;
  code: string | null;
}

const BY = { actor: "admin-key", requestId: null };

const ACTIONS: Readonly<Record<ActName, Action>> = {
  stop: { kind: "stop" },
  start: { kind: "start" },
  "restart-process": { kind: "restart", scope: "process" },
  "restart-container": { kind: "restart", scope: "container" },
  "restart-image": { kind: "restart", scope: "image" },
  "sync-outward": { kind: "sync", direction: "outward" },
  "sync-inward": { kind: "sync", direction: "inward" },
  suspend: { kind: "suspend" },
  resume: { kind: "resume" },
};

/** Does what clients and operators do, as the API does it behind its door: nobody waits for an answer, the world goes on. */
export class Client {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #registry: Registry;
  readonly #onEnd: (ended: Ended) => void;
  readonly #pending = new Map<Call<unknown>, (outcome: NonNullable<Call<unknown>["outcome"]>) => void>();
  #bodies = 0;

  constructor(world: World, ledger: Ledger, registry: Registry, onEnd: (ended: Ended) => void) {
    this.#world = world;
    this.#ledger = ledger;
    this.#registry = registry;
    this.#onEnd = onEnd;
  }

  do(event: ClientEvent): void {
    switch (event.do) {
      case "claim":
        this.claim(event);
        return;
      case "claims":
        for (let n = 0; n < event.times; n += 1) {
          const tenant = event.spread ? (event.tenant + n) % this.#registry.setup.tenants : event.tenant;
          this.claim({ tenant, pool: event.pool, waitMs: 10_000 });
        }
        return;
      case "release": {
        const request = event.how === "give-up" ? { sync: false } : event.how === "force" ? { force: true } : {};
        const id = tenantName(event.tenant);
        this.#ask(`release ${id} ${event.how}`, id, event.how === "force", (env) =>
          this.#tenant(env, id).release(id, request, event.waitMs, BY),
        );
        return;
      }
      case "act": {
        const id = tenantName(event.tenant);
        const action = {
          ...ACTIONS[event.act],
          ...(event.force && takesForce(event.act) ? { force: true } : {}),
        } as Action;
        this.#ask(`${event.act} ${id}`, id, event.force === true, (env) =>
          this.#tenant(env, id).act(id, action, event.waitMs, BY),
        );
        return;
      }
      case "restore":
        this.#restore(event);
        return;
      case "destroy": {
        const id = tenantName(event.tenant);
        if (event.deleteData) this.#ledger.tenant(id).mayForget = true;
        this.#ask(`destroy ${id}`, id, false, (env) =>
          this.#tenant(env, id).act(id, { kind: "destroy", deleteData: event.deleteData }, event.waitMs, BY),
        );
        return;
      }
      case "request":
        this.#request(event);
        return;
      case "socket":
        this.#socket(event);
        return;
      case "change":
        this.#change(event);
        return;
      case "read":
        this.#read(event);
        return;
      case "upgrade":
        this.#registered(`upgrade ${poolName(event.pool)}`, (env) => this.#registry.upgrade(env, event.pool));
        return;
      case "pool":
        this.#registered(`${event.change.kind} ${poolName(event.pool)}`, (env) =>
          this.#registry.pool(env, event.pool, event.change),
        );
        return;
      case "sweep":
        this.#registered("sweep", (env) => this.#registry.sweep(env));
        return;
    }
  }

  claim(event: Omit<Extract<ClientEvent, { do: "claim" }>, "do">): void {
    const id = tenantName(event.tenant);
    const request = {
      tenantId: id,
      poolId: poolName(event.pool % this.#registry.setup.pools.length),
      ...(event.config === undefined ? {} : { config: { value: event.config } }),
      ...(event.secret === undefined ? {} : { secrets: { TOKEN: `secret-${event.secret}` } }),
      ...(event.allowFresh ? { allowFresh: true } : {}),
    };
    if (event.allowFresh) this.#ledger.tenant(id).mayBeFresh = true;
    this.#ask(`claim ${id}`, id, false, async (env) => {
      if (!(await this.#registry.exists(env, event.pool)))
        return { ok: false, failure: { code: "not_found", detail: "no such pool" } };
      return this.#tenant(env, id).claim(request, event.waitMs, BY);
    });
  }

  /** One request through the proxy, and its status. Null: it broke off. */
  async probe(tenant: number, ms: number): Promise<number | null> {
    const call = this.#proxied(`probe ${tenantName(tenant)}`, requestOf(tenant, "/whoami"));
    return this.#world.finish(call, ms).catch(() => null);
  }

  #restore({ tenant, back, waitMs }: Extract<ClientEvent, { do: "restore" }>): void {
    const id = tenantName(tenant);
    this.#ask(`restore ${id}`, id, true, async (env) => {
      const { generations } = await this.#world.modules.stubs.vaultOf(env, id).describe();
      const wanted = generations[Math.max(0, generations.length - 1 - back)]?.generation ?? (1 as Generation);
      return this.#tenant(env, id).act(id, { kind: "restore", generation: wanted }, waitMs, BY);
    });
  }

  #request({ tenant, method, file, size }: Extract<ClientEvent, { do: "request" }>): void {
    const id = tenantName(tenant);
    const path = `/files/f${file}`;
    this.#bodies += 1;
    const body = method === "PUT" ? bodyOf(size, this.#bodies) : undefined;
    const headers = { [ONCE_HEADER]: String(this.#bodies) };
    const call = this.#proxied(`${method} ${id}${path}`, requestOf(tenant, path, method, body, headers));
    const told = (status: number) => {
      this.#world.note(`answers ${call.name}: ${status}`);
      this.#onEnd({ asked: call.name, tenantId: id, status, code: "proxied" });
    };
    this.#follow(call, told, this.#counted(id));
  }

  /** Through the real proxy; what is read of the answer is all of it, since a body that nobody reads keeps its request open. */
  #proxied(name: string, request: Request): Call<number> {
    return this.#world.worker(name, async (env, ctx) => {
      const response = await this.#proxy(request, env, ctx);
      await response.arrayBuffer();
      return response.status;
    });
  }

  async #proxy(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { proxy, targetOf, settled, configOf } = this.#world.modules;
    const url = new URL(request.url);
    const target = await settled(targetOf(url, configOf(env)), env.DB, this.#world.now);
    if (target.kind === "platform") throw new Error(`${url} is no tenant's`);
    return proxy(request, url, target, env, ctx);
  }

  #socket({ tenant, openMs }: Extract<ClientEvent, { do: "socket" }>): void {
    const name = `socket ${tenantName(tenant)}`;
    const headers = { upgrade: "websocket", connection: "upgrade" };
    const call = this.#world.worker(name, async (env, ctx) => {
      const { webSocket } = await this.#proxy(requestOf(tenant, "/echo", "GET", undefined, headers), env, ctx);
      if (!webSocket) return;
      webSocket.accept();
      webSocket.send("hello");
      await sleep(openMs);
      webSocket.close(1000, "enough");
    });
    this.#follow(call, () => {}, this.#counted(tenantName(tenant)));
  }

  /** One more call that may change the tenant; what is returned is called when it ended. */
  #counted(id: TenantId): () => void {
    const tenant = this.#ledger.tenant(id);
    tenant.asking += 1;
    tenant.asked += 1;
    return () => {
      tenant.asking -= 1;
    };
  }

  #change({ tenant, change }: Extract<ClientEvent, { do: "change" }>): void {
    const id = tenantName(tenant);
    this.#ask(`change ${id} ${change.kind}`, id, false, (env) =>
      this.#tenant(env, id).change(id, changeOf(change), null, BY),
    );
  }

  #read({ what, tenant, pool }: Extract<ClientEvent, { do: "read" }>): void {
    const id = tenantName(tenant);
    const { tenantOf, poolOf, vaultOf } = this.#world.modules.stubs;
    const asked = `read ${what}`;
    const call = this.#world.worker(asked, async (env): Promise<unknown> => {
      switch (what) {
        case "status":
          return tenantOf(env, id).status(id);
        case "settings":
          return tenantOf(env, id).settings(id);
        case "generations":
          return vaultOf(env, id).describe();
        case "operations":
          return tenantOf(env, id).operation("op-none");
        case "pool":
          return poolOf(env, poolName(pool)).describe();
        case "containers":
          return poolOf(env, poolName(pool)).containers();
        case "tenants":
          return env.DB.prepare("SELECT * FROM tenants LIMIT 100").all();
      }
    });
    this.#follow(call, () => {});
  }

  #registered(asked: string, work: (env: Env) => Promise<Outcome<unknown> | null>): void {
    const call = this.#world.worker(asked, work);
    this.#follow(call, (outcome) => this.#ended(asked, null, outcome));
  }

  /** A call about a tenant that may change it. `forces`: what was saved may shrink or be replaced by it. */
  #ask(asked: string, id: TenantId, forces: boolean, work: (env: Env) => Promise<Outcome<unknown>>): void {
    const tenant = this.#ledger.tenant(id);
    if (forces) tenant.forced = true;
    if (forces || asked.endsWith("give-up") || asked.startsWith("destroy")) tenant.givenUp = true;
    const promised = this.#ledger.promise(id);
    const call = this.#world.worker(asked, work);
    this.#follow(
      call,
      (outcome) => {
        if (outcome.ok && hasSaved(outcome.value)) this.#ledger.acknowledge(id, promised);
        this.#ended(asked, id, outcome);
      },
      this.#counted(id),
    );
  }

  #ended(asked: string, tenantId: string | null, outcome: Outcome<unknown> | null): void {
    const code = outcome?.ok === false ? outcome.failure.code : null;
    const status = code === null ? 200 : entryOf(code).status;
    const launch = outcome?.ok ? (outcome.value as { value?: { launch?: string } } | null)?.value?.launch : undefined;
    this.#world.note(["answers", `${asked}:`, status, code ?? launch].filter((word) => word !== undefined).join(" "));
    this.#onEnd({ asked, tenantId, status, code });
  }

  /** What ended since the last look is told. */
  collect(): void {
    for (const [call, then] of this.#pending) {
      if (!call.outcome) continue;
      this.#pending.delete(call);
      then(call.outcome);
    }
  }

  /** Calls that have not ended. */
  get waiting(): string[] {
    return [...this.#pending.keys()].map(({ name }) => name);
  }

  /** What broke off says nothing of what it came to. */
  #follow<T>(call: Call<T>, then: (value: T) => void, always = () => {}): void {
    const same = this.waiting.filter((name) => name === call.name).length;
    this.#world.note(`asks ${call.name}${same > 0 ? ` beside ${same} like it` : ""}`);
    this.#pending.set(call as Call<unknown>, (outcome) => {
      always();
      if (outcome.ok) then(outcome.value as T);
    });
  }

  #tenant(env: Env, id: TenantId) {
    return this.#world.modules.stubs.tenantOf(env, id);
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const takesForce = (act: ActName): boolean => act === "stop" || act.startsWith("restart");

function changeOf(change: Extract<ClientEvent, { do: "change" }>["change"]): Change {
  switch (change.kind) {
    case "tier":
      return change;
    case "lifecycle":
      return { kind: "lifecycle", lifecycle: { mode: change.mode, idleTimeoutMs: change.idleTimeoutMs } };
    case "config":
      return { kind: "config", config: { value: change.value } };
    case "secret":
      return { kind: "secret", name: "TOKEN", value: `secret-${change.value}` };
  }
}

/** Whether an answer says that something was saved. */
function hasSaved(value: unknown): boolean {
  const awaited = value as Partial<Awaited<{ saved?: unknown }>>;
  return awaited.kind === "done" && awaited.value?.saved != null;
}

const bodyOf = (size: "small" | "large", n: number): string =>
  size === "small" ? `${n}`.padEnd(20 + (n % 60), ".") : `${n}`.padEnd(70_000, ".");

function requestOf(
  tenant: number,
  path: string,
  method = "GET",
  body?: string,
  headers: Record<string, string> = {},
): Request {
  return new Request(`http://localhost:8787/t/${tenantName(tenant)}${path}`, {
    method,
    headers: { authorization: "Bearer test-admin-key-0123456789", ...headers },
    ...(body === undefined ? {} : { body }),
  });
}
