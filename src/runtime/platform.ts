import { messageOf, runtimeError } from "./classify.ts";
import {
  type ContainerRuntime,
  type ExecOptions,
  type ExecResult,
  type Exit,
  RuntimeError,
  type RuntimeErrorCode,
  type StartSpec,
} from "./port.ts";

/** A command's processes get their SIGKILL this long after its time is over, so that the caller's `timeout` comes first. */
const GROUP_KILL_GRACE_MS = 100;
const ABORT_GRACE_MS = 5_000;
/** What `start()` could not say yet, and the end of a container says instead. */
const START_FAILURES: readonly RuntimeErrorCode[] = [
  "capacity",
  "rate_limited",
  "start_failed",
  "unknown_image",
  "bad_start",
];

/**
 * The way to init, in front of a command. workerd sets Docker's Cmd from `entrypoint` (tried), so that the image's own
 * ENTRYPOINT stays in front; its documentation says "root process", which would replace it. Init skips what it sees twice.
 */
const INIT = ["/usr/bin/tini", "--", "/usr/local/bin/boilerhouse-init"];

/** Containers by `ctx.container` of an object whose class has `scheduling_policy: "durable_object"`: image and size are chosen at each start. */
export class PlatformRuntime implements ContainerRuntime {
  readonly #container: Container;

  constructor(container: Container) {
    this.#container = container;
  }

  get running(): boolean {
    return this.#container.running;
  }

  get images(): readonly string[] {
    return Object.keys(this.#container.images);
  }

  start(spec: StartSpec): void {
    if (this.running) throw new RuntimeError("already_running", "The container is running already.");
    const images = this.#container.images;
    const image = Object.hasOwn(images, spec.image) ? images[spec.image] : undefined;
    if (image === undefined) throw new RuntimeError("unknown_image", `There is no image named ${spec.image}.`);
    try {
      this.#container.start({
        image,
        instance: spec.tier,
        env: spec.env,
        labels: spec.labels,
        enableInternet: spec.internet,
        ...(spec.command && { entrypoint: [...INIT, ...spec.command] }),
      });
    } catch (error) {
      throw runtimeError(error, "start_failed");
    }
  }

  async fetch(port: number, request: Request): Promise<Response> {
    this.#requireRunning();
    // Ports speak HTTP without TLS; the scheme of the outer request is not theirs.
    const url = new URL(request.url);
    const plain = url.protocol === "http:" ? request : new Request(Object.assign(url, { protocol: "http:" }), request);
    try {
      return await this.#container.getTcpPort(port).fetch(plain);
    } catch (error) {
      throw runtimeError(error);
    }
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    this.#requireRunning();
    const kill = new AbortController();
    const timers: ReturnType<typeof setTimeout>[] = [];
    const after = (ms: number, act: () => void) => timers.push(setTimeout(act, ms));
    const expired = new Promise<never>((_resolve, reject) => {
      const error = new RuntimeError("timeout", `${argv[0]} did not end within ${options.timeoutMs} ms.`);
      after(options.timeoutMs, () => reject(error));
    });
    // The platform has no limit of its own, and a signal of its ends one process, not what that one started: timeout(1)
    // ends the group. The abort is for a container in which even that does not run any more.
    after(options.timeoutMs + ABORT_GRACE_MS, () => kill.abort());
    const seconds = (options.timeoutMs + GROUP_KILL_GRACE_MS) / 1000;
    const running = this.#run(["timeout", "--signal=KILL", String(seconds), ...argv], options, kill.signal).finally(
      () => timers.forEach(clearTimeout),
    );
    try {
      return await Promise.race([running, expired]);
    } catch (error) {
      throw runtimeError(error);
    }
  }

  async #run(argv: string[], options: ExecOptions, signal: AbortSignal): Promise<ExecResult> {
    const process = await this.#container.exec(argv, {
      signal,
      ...(options.env && { env: options.env }),
      ...(options.user !== undefined && { user: options.user }),
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.stdin !== undefined && { stdin: streamOf(options.stdin) }),
    });
    const { capture } = options;
    if (capture) {
      const [exitCode] = await Promise.all([
        process.exitCode,
        capture.stdout.drain(process.stdout),
        capture.stderr.drain(process.stderr),
      ]);
      return { exitCode, stdout: capture.stdout.bytes, stderr: capture.stderr.bytes };
    }
    const { exitCode, stdout, stderr } = await process.output();
    return { exitCode, stdout: new Uint8Array(stdout), stderr: new Uint8Array(stderr) };
  }

  async intercept(host: string, handler: Fetcher): Promise<void> {
    await this.#container.interceptOutboundHttp(host, handler);
  }

  async monitor(): Promise<Exit> {
    this.#requireRunning();
    try {
      await this.#container.monitor();
      return { exitCode: 0, reason: "exited" };
    } catch (error) {
      const cause = runtimeError(error);
      if (cause.code === "not_running" || START_FAILURES.includes(cause.code)) throw cause;
      return { exitCode: exitCodeOf(error), reason: messageOf(error) };
    }
  }

  signal(signal: number): void {
    this.#requireRunning();
    try {
      this.#container.signal(signal);
    } catch (error) {
      throw runtimeError(error);
    }
  }

  async destroy(reason: string): Promise<void> {
    if (!this.running) return;
    try {
      await this.#container.destroy(reason);
    } catch (error) {
      const cause = runtimeError(error);
      if (cause.code !== "not_running" && messageOf(error) !== reason) throw cause;
    }
  }

  async keepFor(durationMs: number): Promise<void> {
    await this.#container.setInactivityTimeout(durationMs);
  }

  async inspect(): Promise<{ image: string; labels: Record<string, string> } | null> {
    return this.running ? await this.#container.inspect() : null;
  }

  #requireRunning(): void {
    if (!this.running) throw new RuntimeError("not_running", "The container is not running.");
  }
}

function streamOf(input: Uint8Array | string): ReadableStream {
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}

function exitCodeOf(error: unknown): number | null {
  const code = error instanceof Error && "exitCode" in error ? error.exitCode : null;
  return typeof code === "number" ? code : null;
}
