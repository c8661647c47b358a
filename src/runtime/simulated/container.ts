import type { WorkloadExit } from "../../instance/ending.ts";
import { type Exit, RuntimeError, type StartSpec } from "../port.ts";
import { SimulatedAgent } from "./agent.ts";
import type { Fault, FaultPoint } from "./faults.ts";
import { VirtualFiles } from "./files.ts";
import { SimulatedInit } from "./init.ts";
import type { Sandbox } from "./sandbox.ts";
import type { Simulation } from "./simulation.ts";

export const CONTROL_PORT = 41800;
export const AGENT_PORT = 41801;
/** How soon a call that hangs sees that its container ended. */
const LOOK_MS = 20;
const SOCKET_LOOK_MS = 200;

/** How the container reaches the world: the intercepts of whoever carries it now. */
export interface Egress {
  /** @throws TypeError when no intercept handles the host */
  outbound(request: Request): Promise<Response>;
}

/** One container in memory: files, init, agent, workload. It knows nothing of Durable Objects and holds no I/O of theirs but `egress`. */
export class SimulatedContainer {
  readonly spec: StartSpec;
  readonly files: VirtualFiles;
  init: SimulatedInit;
  /** Null where it was left out, until it is asked for. */
  agent: SimulatedAgent | null;
  /** Replaced when another incarnation of the object takes the container over; I/O that began under an older one is dead. */
  egress: Egress;

  readonly #key: string;
  readonly #simulation: Simulation;
  #readyAt = 0;
  #ended: Exit | null = null;
  #failure: RuntimeError | null = null;
  #frozen = false;
  #silent = false;
  readonly #waiting = new Set<() => void>();

  constructor(simulation: Simulation, key: string, spec: StartSpec, egress: Egress) {
    this.#simulation = simulation;
    this.#key = key;
    this.spec = spec;
    this.egress = egress;
    this.files = new VirtualFiles(() => this.now());
    this.init = new SimulatedInit(this, spec.env);
    this.agent = spec.env.BOILERHOUSE_AGENT === "off" ? null : new SimulatedAgent(this);
    const late = this.take("ready");
    this.#frozen = late?.how === "lose";
    this.#readyAt = this.now() + (late?.how === "slow" ? late.ms : late ? Number.POSITIVE_INFINITY : 0);
  }

  get running(): boolean {
    return this.#ended === null;
  }
  /** Of a start that failed after it returned. */
  get failure(): RuntimeError | null {
    return this.#failure;
  }
  get exit(): Exit | null {
    return this.#ended;
  }

  report(exit: WorkloadExit): void {
    if (!this.#frozen) void this.init.report(exit);
  }

  startAgent(): void {
    this.agent ??= new SimulatedAgent(this);
  }

  now(): number {
    return this.#simulation.clock.now();
  }
  sleep(ms: number): Promise<void> {
    return this.#simulation.clock.sleep(ms);
  }
  take(at: FaultPoint): Fault | null {
    return this.#simulation.take(this.#key, at);
  }

  /** Waits out a fault that delays or hangs, and returns one that the caller must act on. */
  async pass(at: FaultPoint): Promise<Exclude<Fault, { how: "slow" | "hang" }> | null> {
    const fault = this.take(at);
    if (fault?.how === "hang") return await this.ending();
    if (fault?.how !== "slow") return fault;
    await this.sleep(fault.ms);
    return null;
  }

  /** One request to a port, as the network would answer it. */
  async serve(port: number, request: Request): Promise<Response> {
    this.requireRunning();
    if (this.#frozen) return await this.ending();
    if (this.now() < this.#readyAt) throw notListening(port);
    if (port === CONTROL_PORT) return await this.init.control(request);
    if (port === AGENT_PORT && this.agent && this.init.booted) return await this.agent.serve(request);
    const workload = this.init.workload();
    if (!workload || workload.port !== port) throw notListening(port);
    if (workload.hung) return await this.ending();
    const response = await workload.serve(request);
    if (response.webSocket) void this.#endSockets(workload);
    return response;
  }

  /** Sockets break with their container; by a look of the object that opened them, as in `ending`. */
  async #endSockets(workload: Sandbox): Promise<void> {
    while ((this.running || this.#silent) && workload.hasSockets) await this.sleep(SOCKET_LOOK_MS);
    workload.closeSockets(1011, "the connection broke");
  }

  /**
   * Rejects when the container ends; for whatever hangs in it. It looks by itself, since a promise that another request's
   * code settles does not wake the object that waits for it (workerd).
   */
  async ending(): Promise<never> {
    while (this.running || this.#silent) await this.sleep(LOOK_MS);
    throw new RuntimeError("lost", "Network connection lost.");
  }

  /** Calls when the container ended, and anybody may know. No timer is held: that would keep an object in memory. */
  whenEnded(listener: () => void): void {
    if (this.#ended && !this.#silent) listener();
    else this.#waiting.add(listener);
  }

  /** An engine starts it again in place: another boot, of which nobody has the keys. */
  reboot(): void {
    this.init = new SimulatedInit(this, this.spec.env);
    if (this.agent) this.agent = new SimulatedAgent(this);
  }

  /** A start that fails after it returned. */
  fail(failure: RuntimeError): void {
    this.#failure = failure;
    this.end({ exitCode: null, reason: failure.message });
  }

  end(exit: Exit): void {
    this.#silent = false;
    this.#ended ??= exit;
    for (const listener of this.#waiting) listener();
    this.#waiting.clear();
  }

  freeze(): void {
    this.#frozen = true;
  }
  thaw(): void {
    this.#frozen = false;
  }
  vanish(): void {
    this.#ended ??= { exitCode: null, reason: "vanished" };
    this.#silent = true;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  requireRunning(): void {
    if (this.#failure) throw this.#failure;
    if (this.#ended) throw new RuntimeError("not_running", "The container is not running.");
  }
}

const notListening = (port: number) =>
  new RuntimeError("not_listening", `The container is not listening on port ${port}.`);
