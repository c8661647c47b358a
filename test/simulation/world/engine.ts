import type { SimulatedContainer } from "../../../src/runtime/simulated/container.ts";
import { responseAcross } from "./http.ts";
import type { Network } from "./network.ts";
import { current, type Owner, runAs } from "./owner.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ContainerHistory, Containers, WorldModules } from "./types.ts";

/** What runs inside a container. It ends with the container; in a frozen one it stands still until that thaws. */
class Inside implements Owner {
  readonly label: string;
  container: SimulatedContainer | null = null;
  readonly #held: (() => void)[] = [];

  constructor(id: string) {
    this.label = `Container/${id}`;
  }
  get alive(): boolean {
    return this.container === null || this.container.running;
  }
  leave(send: () => void): void {
    this.receive(send);
  }
  receive(handle: () => void): void {
    if (!this.alive) return;
    if (this.container?.frozen) this.#held.push(handle);
    else handle();
  }
  thaw(): void {
    for (const handle of this.#held.splice(0)) this.receive(handle);
  }
}

const CONTROL_PORTS = new Set([41800, 41801]);
type Method = (...args: never[]) => unknown;

/**
 * Puts the network between an Instance and its simulated container: what one asks of the other is a message each way,
 * and what the container does it does on its own behalf.
 */
export function connectEngine(modules: WorldModules, network: Network, scheduler: Scheduler): Containers {
  const { SimulatedRuntime, SimulatedContainer: Container, simulation, RuntimeError } = modules;
  const lost = (message = "Network connection lost.") => new RuntimeError("lost", message);
  const insides = new Map<string, Inside>();
  const insideOfContainer = new WeakMap<SimulatedContainer, Inside>();
  const history = new Map<string, ContainerHistory & { endedAt: number | null }>();
  const insideOf = (id: string): Inside => {
    const known = insides.get(id) ?? new Inside(id);
    insides.set(id, known);
    return known;
  };

  /** A call from an Instance to the engine, answered by a message. */
  const ask = <T>(
    id: string,
    op: string,
    path: string,
    signal: AbortSignal | null,
    perform: () => Promise<T>,
  ): Promise<T> => {
    const points = {
      before: { at: "engine" as const, container: id, op, path },
      after: { at: "engine-reply" as const, container: id, op, path },
    };
    const failed = (verdict: { message?: string }) => lost(verdict.message);
    const inside = insideOf(id);
    const answer = network.operation(`engine ${op}${path}`, points, failed, () => runAs(inside, 0, perform), "at once");
    return signal === null
      ? answer
      : Promise.race([answer, expiry(signal, answer, () => new RuntimeError("timeout", "The operation was aborted."))]);
  };
  const patch = (target: object, name: string, make: (original: Method) => Method) => {
    const original = (target as Record<string, Method>)[name];
    if (typeof original !== "function")
      throw new Error(`The simulated runtime has no ${name}() any more: see ${import.meta.url}.`);
    Object.defineProperty(target, name, { configurable: true, writable: true, value: make(original) });
  };
  patch(
    simulation,
    "take",
    (original) =>
      function take(this: object, id: string, at: string) {
        const fault = (original as (id: string, at: string) => object | null).call(this, id, at);
        if (fault) scheduler.note(`  fault ${JSON.stringify(fault)} at ${at} of Container/${id}`);
        return fault;
      },
  );
  const idOfCaller = (): string => current().owner.label.slice("Instance/".length);

  patch(
    SimulatedRuntime.prototype,
    "start",
    (original) =>
      function start(this: object, spec: never) {
        const id = idOfCaller();
        const inside = new Inside(id);
        insides.set(id, inside);
        runAs(inside, 0, () => original.call(this, spec));
        const container = simulation.container(id) ?? null;
        inside.container = container;
        if (container) insideOfContainer.set(container, inside);
        scheduler.note(`  start Container/${id}`);
        const entry: ContainerHistory = { startedAt: scheduler.now, endedAt: null, exit: null, served: [] };
        history.set(id, entry);
        container?.whenEnded(() => {
          entry.endedAt = scheduler.now;
          entry.exit = container.exit;
        });
      },
  );
  patch(
    SimulatedRuntime.prototype,
    "fetch",
    (original) =>
      function fetch(this: object, port: number, request: Request) {
        const id = idOfCaller();
        const path = ` ${port}${new URL(request.url).pathname}`;
        return ask(id, "fetch", path, request.signal, async () => {
          const response = (await (original as (port: number, request: Request) => Promise<Response>).call(
            this,
            port,
            request,
          )) as Response;
          return responseAcross(response, network.carriage(insideOf(id), `Container/${id}`, `Instance/${id}`));
        });
      },
  );
  for (const op of ["exec", "monitor", "destroy"]) {
    patch(
      SimulatedRuntime.prototype,
      op,
      (original) =>
        function call(this: object, ...args: never[]) {
          return ask(idOfCaller(), op, "", null, async () => original.apply(this, args));
        },
    );
  }
  patch(
    SimulatedRuntime.prototype,
    "signal",
    (original) =>
      function signal(this: object, number: never) {
        return runAs(insideOf(idOfCaller()), 0, () => original.call(this, number));
      },
  );
  // Told from outside, as by a test: what it does then it does on its own behalf.
  for (const name of ["report", "thaw"]) {
    patch(
      Container.prototype,
      name,
      (original) =>
        function told(this: SimulatedContainer, ...args: never[]) {
          const inside = insideOfContainer.get(this);
          if (!inside) return original.apply(this, args);
          const answer = runAs(inside, 0, () => original.apply(this, args));
          if (name === "thaw") scheduler.after(0, `thaw ${inside.label}`, () => inside.thaw());
          return answer;
        },
    );
  }
  // The product looks every 20 ms, for workerd's sake; here whoever hangs is told.
  patch(
    Container.prototype,
    "ending",
    () =>
      function ending(this: SimulatedContainer): Promise<never> {
        return new Promise((_resolve, reject) => this.whenEnded(() => reject(lost())));
      },
  );
  patch(
    Container.prototype,
    "serve",
    (original) =>
      function serve(this: SimulatedContainer, port: number, request: Request) {
        const id = current().owner.label.slice("Container/".length);
        if (!CONTROL_PORTS.has(port))
          history.get(id)?.served.push({ at: scheduler.now, path: new URL(request.url).pathname });
        return (original as (port: number, request: Request) => unknown).call(this, port, request);
      },
  );

  return {
    get running() {
      return simulation.running;
    },
    get: (id) => simulation.container(id),
    history,
    controls: simulation,
  };
}

/** The call's deadline is the request's own signal. */
function expiry(signal: AbortSignal, answer: Promise<unknown>, timeout: () => Error): Promise<never> {
  return new Promise((_resolve, reject) => {
    const expired = () => reject(timeout());
    if (signal.aborted) expired();
    signal.addEventListener("abort", expired, { once: true });
    answer.catch(() => {}).finally(() => signal.removeEventListener("abort", expired));
  });
}
