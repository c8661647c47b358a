import { type Random, seeded } from "../../support/random.ts";
import { SimulatedD1 } from "./d1.ts";
import { connectEngine } from "./engine.ts";
import { type Faults, NO_FAULTS } from "./faults.ts";
import { installGlobals } from "./globals.ts";
import { Home, type Platform } from "./home.ts";
import { Invocation, loopback } from "./invocation.ts";
import { loadModules } from "./modules.ts";
import { namespace } from "./namespaces.ts";
import { Network } from "./network.ts";
import { runAs } from "./owner.ts";
import { SimulatedR2 } from "./r2.ts";
import { Scheduler, Trace } from "./scheduler.ts";
import type { Call, DurableClass, ObjectClass, Objects, ObjectView, World } from "./types.ts";

/** When every world begins: an hour that is nobody's midnight. */
const START = Date.UTC(2026, 10, 3, 9, 26, 53, 589);
const LIMIT = 5_000_000;
const CODE_UPDATED = "Durable Object reset because its code was updated.";
const STALE_MS = 400;

const VARIABLES = {
  ENVIRONMENT: "development",
  RUNTIME: "simulated",
  ADMIN_KEY: "test-admin-key-0123456789",
  SECRETS_KEY: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
} as const;

export interface WorldOptions {
  seed: number;
  /** Keeps the lines of the trace; otherwise only their hash. */
  trace?: boolean;
  /** More variables of the Worker. */
  variables?: Record<string, string>;
  /** Gets what `src` logs. */
  log?: (line: string) => void;
  /** In place of the real objects, for tests of the world itself. */
  classes?: Partial<Record<ObjectClass, DurableClass>>;
}

let worlds = 0;

/** A fresh world, in the global object until `dispose()`: one at a time. */
export async function newWorld({
  seed,
  trace = false,
  variables = {},
  log,
  classes = {},
}: WorldOptions): Promise<World> {
  const streams = new Map<string, Random>();
  const random = (name: string): Random => {
    const known = streams.get(name) ?? seeded(hashOf(`${seed}/${name}`));
    streams.set(name, known);
    return known;
  };
  const complaints: string[] = [];
  const complain = (problem: unknown): void => {
    complaints.push(problem instanceof Error ? (problem.stack ?? problem.message) : String(problem));
  };
  const scheduler = new Scheduler(START, random("order"), new Trace(trace ? "lines" : "hash"));
  const uninstall = installGlobals({
    scheduler,
    start: START,
    random: random("code"),
    complain,
    log: (level, line) => {
      log?.(`${level} ${line}`);
      if (trace) scheduler.note(`  log ${level} ${line}`);
    },
  });
  process.on("unhandledRejection", complain);
  worlds += 1;
  const modules = await loadModules(worlds);
  modules.simulation.random = random("containers");

  const state = { faults: NO_FAULTS as Faults };
  const network = new Network(scheduler, () => state.faults);
  const d1 = new SimulatedD1(network);
  const r2 = new SimulatedR2(network, () => scheduler.now);
  const homes = new Map<string, Home>();
  const { Tenant, Pool, Instance, Vault, Fleet, Limiter, StorageGateway, ControlGateway } = modules;
  const entrypoints = { StorageGateway, ControlGateway };
  const platform: Platform = {
    scheduler,
    network,
    classes: { Tenant, Pool, Instance, Vault, Fleet, Limiter, ...classes },
    env: null as unknown as Env,
    exportsFor: (copy) => loopback(copy, entrypoints, platform.env, network),
    complain,
    watch: { onCommit: () => {}, onRollback: () => {} },
  };
  const homeOf = (kind: ObjectClass, name: string): Home => {
    const key = `${kind}/${name}`;
    const known = homes.get(key) ?? new Home(kind, name, platform);
    homes.set(key, known);
    return known;
  };
  const kinds: ObjectClass[] = ["Tenant", "Pool", "Instance", "Vault", "Fleet", "Limiter"];
  const namespaces = kinds.map((kind) => [kind.toUpperCase(), namespace(kind, homeOf, network)]);
  const env = {
    ...VARIABLES,
    ...variables,
    ...Object.fromEntries(namespaces),
    DB: { prepare: d1.prepare, batch: d1.batch },
    BUCKET: r2.binding,
    COARSE_LIMIT: { limit: async () => ({ success: true }) },
  } as unknown as Env;
  (platform as { env: Env }).env = env;

  const worker = <T>(name: string, run: (env: Env, ctx: ExecutionContext) => Promise<T>): Call<T> => {
    const invocation = new Invocation(`Worker/${name}`);
    const call: Call<T> = {
      name,
      startedAt: scheduler.now,
      outcome: null,
      abort: () => {
        invocation.alive = false;
      },
    };
    runAs(invocation, 0, async () => run(env, invocation.context(undefined))).then(
      (value) => {
        call.outcome = { ok: true, value, at: scheduler.now };
      },
      (error: Error) => {
        call.outcome = { ok: false, error, at: scheduler.now };
      },
    );
    return call;
  };

  const step = async (): Promise<boolean> => {
    if (scheduler.fired > LIMIT) throw new Error(`The world of seed ${seed} never comes to rest.`);
    return scheduler.fire();
  };
  const advance = async (ms: number, until: () => boolean = () => false): Promise<void> => {
    const end = scheduler.now + ms;
    while (!until() && (scheduler.next ?? Number.POSITIVE_INFINITY) <= end && (await step()));
    if (!until()) scheduler.skipTo(end);
  };
  const objects: Objects = {
    list: (kind) => [...homes.values()].filter((home) => kind === undefined || home.kind === kind),
    find: (kind, name) => homes.get(`${kind}/${name}`) ?? null,
    evict: (object) => homeIn(object).evict(),
    crash: (object, message = "Network connection lost.") =>
      homeIn(object).crash(Object.assign(new Error(message), { retryable: true })),
    overlap: (object, ms = STALE_MS) => homeIn(object).overlap(ms),
    deploy: () => {
      scheduler.note("deploy");
      const reset = Object.assign(new Error(CODE_UPDATED), { retryable: true, durableObjectReset: true });
      for (const home of homes.values()) home.crash(reset);
    },
  };
  const homeIn = (object: ObjectView): Home => homeOf(object.kind, object.name);

  const world: World = {
    seed,
    get now() {
      return scheduler.now;
    },
    get faults() {
      return state.faults;
    },
    set faults(faults) {
      state.faults = faults;
    },
    env,
    modules,
    random,
    worker,
    request(name, request) {
      const url = new URL(request.url);
      return worker(name, async (env, ctx) => {
        const target = modules.targetOf(url, modules.configOf(env));
        const known = target.kind === "elsewhere" ? await modules.settled(target, env.DB, Date.now()) : target;
        if (known.kind === "platform") throw new Error(`${request.url} is no tenant's address.`);
        return modules.proxy(request, url, known, env, ctx);
      });
    },
    step,
    advance,
    async finish(call, ms = 600_000) {
      await advance(ms, () => call.outcome !== null);
      if (call.outcome === null) throw new Error(`${call.name} has not ended after ${ms} ms.`);
      if (!call.outcome.ok) throw call.outcome.error;
      return call.outcome.value;
    },
    get onStep() {
      return scheduler.onFire;
    },
    set onStep(act) {
      scheduler.onFire = act;
    },
    get onCommit() {
      return platform.watch.onCommit;
    },
    set onCommit(look) {
      platform.watch.onCommit = look;
    },
    get onRollback() {
      return platform.watch.onRollback;
    },
    set onRollback(look) {
      platform.watch.onRollback = look;
    },
    note: (text) => scheduler.note(`  ${text}`),
    skipClock: (ms) => scheduler.jump(ms),
    objects,
    containers: connectEngine(modules, network, scheduler),
    r2,
    d1: { rows: (sql, ...bindings) => d1.rows(sql, ...bindings) },
    calls: network.calls,
    get events() {
      return scheduler.fired;
    },
    trace: scheduler.trace,
    complaints,
    dispose() {
      modules.simulation.reset();
      for (const home of homes.values()) home.close();
      d1.close();
      process.off("unhandledRejection", complain);
      uninstall();
    },
  };
  return world;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
