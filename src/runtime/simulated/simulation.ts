import type { SimulatedContainer } from "./container.ts";
import { type Fault, type FaultOptions, FaultPlan, type FaultPoint } from "./faults.ts";

/** Time as simulated containers see it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const REAL_CLOCK: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** All simulated containers of this isolate, by the name of the object that carries each: they outlive its evictions. */
export class Simulation {
  /** The images that can be started; all of them run the sandbox. */
  readonly images = new Set(["sandbox"]);
  clock: Clock = REAL_CLOCK;
  random: () => number = Math.random;
  /** Faults of any container. */
  readonly every = new FaultControls(this.#newPlan());

  readonly #containers = new Map<string, SimulatedContainer>();
  readonly #controls = new Map<string, ContainerControls>();

  /** What a test may do to one container, also before it exists. */
  for(key: string): ContainerControls {
    const known = this.#controls.get(key);
    if (known) return known;
    const controls = new ContainerControls(this.#newPlan(), () => this.#containers.get(key));
    this.#controls.set(key, controls);
    return controls;
  }

  /** The names of the objects whose container runs. */
  get running(): string[] {
    return [...this.#containers].filter(([, container]) => container.running).map(([key]) => key);
  }

  container(key: string): SimulatedContainer | undefined {
    return this.#containers.get(key);
  }
  adopt(key: string, container: SimulatedContainer): void {
    this.#containers.set(key, container);
  }
  /** Forgets a container that ended. */
  forget(key: string, container: SimulatedContainer): void {
    if (this.#containers.get(key) === container) this.#containers.delete(key);
    this.#controls.delete(key);
  }

  take(key: string, at: FaultPoint): Fault | null {
    return this.#controls.get(key)?.faults.take(at) ?? this.every.faults.take(at);
  }

  /** Ends every container and forgets every fault. */
  reset(): void {
    for (const container of this.#containers.values()) container.end({ exitCode: null, reason: "reset" });
    this.#containers.clear();
    this.#controls.clear();
    this.every.faults.clear();
    this.clock = REAL_CLOCK;
    this.random = Math.random;
  }

  #newPlan(): FaultPlan {
    return new FaultPlan(() => this.random());
  }
}

/** Plans faults; each call returns the controls again. */
class FaultControls {
  readonly faults: FaultPlan;

  constructor(faults: FaultPlan) {
    this.faults = faults;
  }
  fail(at: FaultPoint, fault: Omit<Extract<Fault, { how: "fail" }>, "how"> & FaultOptions = {}): this {
    return this.#plan(at, { how: "fail", ...fault }, fault);
  }
  slow(at: FaultPoint, ms: number, options: FaultOptions = {}): this {
    return this.#plan(at, { how: "slow", ms }, options);
  }
  hang(at: FaultPoint, options: FaultOptions = {}): this {
    return this.#plan(at, { how: "hang" }, options);
  }
  lose(at: FaultPoint, options: FaultOptions = {}): this {
    return this.#plan(at, { how: "lose" }, options);
  }
  truncate(at: "restore", options: FaultOptions = {}): this {
    return this.#plan(at, { how: "truncate" }, options);
  }
  #plan(at: FaultPoint, fault: Fault, options: FaultOptions): this {
    this.faults.plan(at, fault, options);
    return this;
  }
}

class ContainerControls extends FaultControls {
  readonly #find: () => SimulatedContainer | undefined;

  constructor(faults: FaultPlan, find: () => SimulatedContainer | undefined) {
    super(faults);
    this.#find = find;
  }
  /** The container, as tests may look into it. @throws when none was started */
  get container(): SimulatedContainer {
    const container = this.#find();
    if (!container) throw new Error("No such simulated container was started.");
    return container;
  }
  /** PID 1 ends. */
  crash(exitCode = 137): void {
    this.container.end({ exitCode, reason: `exited with ${exitCode}` });
  }
  /** The workload takes more memory than there is; init goes on. */
  outOfMemory(): void {
    this.container.init.supervisor.outOfMemory();
  }
  /** Nothing in the container answers any more; it still counts as running. */
  freeze(): void {
    this.container.freeze();
  }
  thaw(): void {
    this.container.thaw();
  }
  /** Started again in place, as an engine does when PID 1 failed: it runs, and is not ours any more. */
  reboot(): void {
    this.container.reboot();
  }
  /** The container is gone and nobody is told: no monitor resolves. */
  vanish(): void {
    this.container.vanish();
  }
}

export const simulation = new Simulation();
