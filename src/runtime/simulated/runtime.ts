import {
  type ContainerRuntime,
  type ExecOptions,
  type ExecResult,
  type Exit,
  RuntimeError,
  type StartSpec,
} from "../port.ts";
import { execute } from "./commands.ts";
import { type Egress, SimulatedContainer } from "./container.ts";
import { type Simulation, simulation as shared } from "./simulation.ts";

const SIGKILL = 9;
const SIGTERM = 15;

/** Containers in the isolate's own memory. What an object's memory holds on the platform (intercepts) is held here, and lost with it. */
export class SimulatedRuntime implements ContainerRuntime, Egress {
  readonly #key: string;
  readonly #simulation: Simulation;
  readonly #intercepts = new Map<string, Fetcher>();

  /** @param key the name of the object that carries the container */
  constructor(key: string, simulation: Simulation = shared) {
    this.#key = key;
    this.#simulation = simulation;
    const inherited = simulation.container(key);
    if (inherited) inherited.egress = this;
  }

  get running(): boolean {
    return this.#container?.running ?? false;
  }
  get images(): readonly string[] {
    return [...this.#simulation.images];
  }

  start(spec: StartSpec): void {
    if (this.running) throw new RuntimeError("already_running", "The container is running already.");
    if (!this.#simulation.images.has(spec.image)) {
      throw new RuntimeError("unknown_image", `There is no image named ${spec.image}.`);
    }
    const fault = this.#simulation.take(this.#key, "start");
    const failure =
      fault?.how === "fail"
        ? new RuntimeError(fault.code ?? "start_failed", fault.detail ?? "Container failed to start")
        : null;
    if (failure && fault?.how === "fail" && !fault.late) throw failure;
    const container = new SimulatedContainer(this.#simulation, this.#key, spec, this);
    this.#simulation.adopt(this.#key, container);
    if (failure) container.fail(failure);
  }

  async fetch(port: number, request: Request): Promise<Response> {
    const container = this.#require();
    return await withSignal(request.signal, async () => {
      const fault = await container.pass("fetch");
      if (fault?.how === "fail")
        throw new RuntimeError(fault.code ?? "lost", fault.detail ?? "Network connection lost.");
      const response = await container.serve(port, request);
      if (fault?.how === "lose") throw new RuntimeError("lost", "Network connection lost.");
      return response;
    });
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const container = this.#require();
    const deadline = AbortSignal.timeout(options.timeoutMs);
    return await withSignal(deadline, async () => {
      const fault = await container.pass("exec");
      if (fault?.how === "fail")
        throw new RuntimeError(fault.code ?? "lost", fault.detail ?? "Network connection lost.");
      const result = container.frozen ? await container.ending() : await execute(container, argv, options, deadline);
      if (fault?.how === "lose") throw new RuntimeError("lost", "Network connection lost.");
      return result;
    });
  }

  async intercept(host: string, handler: Fetcher): Promise<void> {
    this.#intercepts.set(host.toLowerCase(), handler);
  }

  async monitor(): Promise<Exit> {
    const container = this.#require();
    await new Promise<void>((resolve) => container.whenEnded(resolve));
    if (container.failure) throw container.failure;
    return container.exit ?? { exitCode: null, reason: "unknown" };
  }

  signal(signal: number): void {
    const container = this.#require();
    if (signal === SIGKILL) container.end({ exitCode: 128 + signal, reason: "killed" });
    else if (signal === SIGTERM && !container.frozen)
      void container.init.drained().then(() => container.end({ exitCode: 0, reason: "exited" }));
  }

  async destroy(reason: string): Promise<void> {
    const container = this.#container;
    if (!container) return;
    const fault = await container.pass("destroy");
    if (fault?.how === "fail") throw new RuntimeError(fault.code ?? "lost", fault.detail ?? "Network connection lost.");
    container.end({ exitCode: null, reason });
    this.#simulation.forget(this.#key, container);
  }

  async keepFor(_durationMs: number): Promise<void> {
    // Nothing here ends by itself.
  }

  async inspect(): Promise<{ image: string; labels: Record<string, string> } | null> {
    const container = this.#container;
    return container?.running ? { image: container.spec.image, labels: container.spec.labels } : null;
  }

  /** What a connection of the container to a host leads to; only hosts with an intercept exist. */
  async outbound(request: Request): Promise<Response> {
    const host = new URL(request.url).hostname;
    const handler = this.#intercepts.get(host) ?? this.#catchAll(host);
    if (!handler) throw new TypeError(`connect to ${host}: connection refused`);
    return await handler.fetch(request);
  }

  #catchAll(host: string): Fetcher | undefined {
    for (const [pattern, handler] of this.#intercepts) {
      if (pattern.startsWith("*") && host.endsWith(pattern.slice(1))) return handler;
    }
    return undefined;
  }

  get #container(): SimulatedContainer | undefined {
    return this.#simulation.container(this.#key);
  }

  #require(): SimulatedContainer {
    const container = this.#container;
    if (!container) throw new RuntimeError("not_running", "The container is not running.");
    container.requireRunning();
    return container;
  }
}

/** The call, or `timeout` as soon as the signal fires; what was begun goes on unseen, as in a container. */
async function withSignal<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  const expired = () => new RuntimeError("timeout", "The operation was aborted.");
  if (signal.aborted) throw expired();
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(expired());
    signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([call(), aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
